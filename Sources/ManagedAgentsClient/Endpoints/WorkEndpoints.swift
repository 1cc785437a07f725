import PosternJSON

/// The work queue of a self-hosted environment (contract, section 5).
extension ManagedAgentsClient {
    /// A poll's answer.
    package struct Poll: Sendable {
        /// `nil`: nothing to do.
        package var item: JSONObject?
        /// The service holds polls as long as it is asked to (answer header `Postern-Poll: 1`): the next one follows without a gap.
        package var isHeld: Bool
        /// Calls that a killed worker had begun are to be run again (answer header `Postern-Redelivery: at_least_once`).
        package var repeatsCalls: Bool
        /// The environment's metadata value `postern.policy` (answer header `Postern-Policy`): what its sessions are to be narrowed to.
        package var policyFragment: String?
    }

    /// `blockMilliseconds` 1–999; `holdSeconds` is Postern's longer wait, which other services ignore.
    package func pollWork(
        environment id: String, workerID: String?, blockMilliseconds: Int? = 999, reclaimOlderThanMilliseconds: Int? = nil, holdSeconds: Int? = nil,
        retry: RetryPolicy? = nil
    ) async throws(ClientError) -> Poll {
        var query: RequestQuery = [:]
        query.add("block_ms", blockMilliseconds)
        query.add("reclaim_older_than_ms", reclaimOlderThanMilliseconds)
        var call = CallOptions(timeout: .seconds(30 + (holdSeconds ?? 0)), retry: retry)
        if let workerID { call.headers["Anthropic-Worker-ID"] = workerID }
        if let holdSeconds { call.headers["Postern-Poll-Seconds"] = String(holdSeconds) }
        let answer = try await request(.get, "/v1/environments/\(id)/work/poll", query: query, options: call)
        let json = try answer.json()
        guard json.isNull || json.object != nil else { throw .malformed("a poll's answer must be an item or null, not \(json.kind)") }
        return Poll(
            item: json.object, isHeld: answer.headers["Postern-Poll"] == "1", repeatsCalls: answer.headers["Postern-Redelivery"] == "at_least_once",
            policyFragment: answer.headers["Postern-Policy"])
    }

    package func ackWork(_ workID: String, environment id: String, options call: CallOptions = CallOptions()) async throws(ClientError) -> JSONObject
    {
        try await request(.post, "/v1/environments/\(id)/work/\(workID)/ack", options: call).object()
    }

    /// `expected` is `NO_HEARTBEAT` for the first beat, later the `last_heartbeat` of the previous answer, byte for byte.
    package func heartbeatWork(
        _ workID: String, environment id: String, expected: String, options call: CallOptions = CallOptions()
    ) async throws(ClientError) -> JSONObject {
        try await request(
            .post, "/v1/environments/\(id)/work/\(workID)/heartbeat", query: ["expected_last_heartbeat": expected], options: call
        ).object()
    }

    package func stopWork(
        _ workID: String, environment id: String, force: Bool, options call: CallOptions = CallOptions()
    ) async throws(ClientError) -> JSON {
        try await request(
            .post, "/v1/environments/\(id)/work/\(workID)/stop", body: force ? ["force": true] : .object([:]), options: call
        ).json()
    }

    package func work(environment id: String, query: RequestQuery = [:]) async throws(ClientError) -> ListPage {
        try await page("/v1/environments/\(id)/work", query: query)
    }

    package func workStatistics(environment id: String) async throws(ClientError) -> JSONObject {
        try await request(.get, "/v1/environments/\(id)/work/stats").object()
    }
}
