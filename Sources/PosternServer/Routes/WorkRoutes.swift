import HTTPTypes
import HummingbirdCore
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// `/v1/environments/{environment_id}/work` (contract section 5).
struct WorkRoutes {
    let work: WorkService
    let environments: EnvironmentService
    let revocations: Revocations

    var routes: [Route] {
        let work = work
        let root = "/v1/environments/{environment_id}/work"
        return [
            Route(.get, root + "/poll", .queue, "Ask for a work item", query: ["block_ms", "reclaim_older_than_ms"], poll),
            Route(.get, root + "/stats", .queueOrClient(.viewer), "Count the queue") { call async throws(APIError) in
                let id = try await environment(call)
                let (statistics, workers) = try await work.statistics(environmentID: id)
                return .json(
                    [
                        "type": "work_queue_stats", "depth": JSON(statistics.depth), "pending": JSON(statistics.pending),
                        "oldest_queued_at": JSON(statistics.oldestQueuedAt?.description), "workers_polling": workers.map { JSON($0) } ?? .null,
                    ] as JSONObject)
            },
            Route(.get, root, .queue, "List work items", query: ["limit", "page"]) { call async throws(APIError) in
                let id = try await environment(call)
                let list = "work:" + id
                let page = try await work.list(
                    environmentID: id, from: try call.query.position(list, .descending), limit: try call.query.limit(default: 20, maximum: 1000))
                return page.answer(list, last: .null) { $0.json().encoded }
            },
            Route(.get, root + "/{work_id}", .client(.viewer), "Get a work item") { call async throws(APIError) in
                .json(try await work.work(try call.parameter("work_id"), environmentID: try await environment(call)).json())
            },
            Route(.post, root + "/{work_id}", .client(.developer), "Change a work item's metadata", takesBody: true) { call async throws(APIError) in
                let patch = try WorkParams.metadata(try await call.optionalBody())
                let id = try await environment(call)
                return .json(try await work.updateMetadata(try call.parameter("work_id"), environmentID: id, patch).json())
            },
            Route(.post, root + "/{work_id}/ack", .queue, "Acknowledge a work item") { call async throws(APIError) in
                guard case .environmentKey(let key) = try call.caller() else { throw .internalError }
                return .json(try await work.acknowledge(try call.parameter("work_id"), environmentID: try await environment(call), key: key).json())
            },
            Route(
                .post, root + "/{work_id}/heartbeat", .lease, "Extend a lease", query: ["expected_last_heartbeat", "desired_ttl_seconds"]
            ) { call async throws(APIError) in
                let seconds = try call.query.plainInt("desired_ttl_seconds", WorkParams.leaseSeconds)
                let beat = try await work.heartbeat(
                    try call.parameter("work_id"), environmentID: try await environment(call), expected: call.query.string("expected_last_heartbeat"),
                    desiredSeconds: seconds, by: try call.caller())
                return .json(beat.json)
            },
            Route(.post, root + "/{work_id}/stop", .leaseOrClient(.developer), "Stop a work item", takesBody: true) { call async throws(APIError) in
                let force = try WorkParams.force(try await call.optionalBody())
                return .json(
                    try await work.stop(
                        try call.parameter("work_id"), environmentID: try await environment(call), force: force, by: try call.caller()
                    ).json())
            },
        ]
    }

    /// The environment of the path, which must be of the caller's workspace and exist.
    private func environment(_ call: Call) async throws(APIError) -> String { try await record(call).id }

    private func record(_ call: Call) async throws(APIError) -> EnvironmentRecord {
        try await environments.environment(try call.parameter("environment_id"), workspaceID: try call.workspaceID())
    }

    /// Answers `null` when there is nothing to do. Our own workers ask for a longer wait than the reference knows with a header.
    private func poll(_ call: Call) async throws(APIError) -> Answer {
        guard case .environmentKey(let key) = try call.caller() else { throw .internalError }
        let query = try WorkParams.Poll(call.query)
        var wait = query.blockMilliseconds.map { Duration.milliseconds($0) }
        if let longer = try call.pollWait() { wait = longer }
        let environment = try await record(call)
        let environmentID = environment.id
        let workerID = call.request.headers[.workerID].map { String($0.prefix(256)) }
        let work = work
        let reclaim = Duration.milliseconds(query.reclaimMilliseconds)
        var headers: HTTPFields = [.posternPoll: "1"]
        let claim = { @Sendable [wait] () async throws(APIError) in
            try await work.poll(environmentID: environmentID, key: key, workerID: workerID, reclaimAfter: reclaim, wait: wait)
        }
        let claimed = wait == nil ? try await claim() : try await call.whileConnected(key, revocations, claim)
        guard let claimed else { return .json(JSON.null.encoded, headers: headers) }
        // A worker of ours that comes back after a kill does with its interrupted call as the environment asks; others do not look at it.
        headers[.posternRedelivery] = environment.redelivery.rawValue
        // JSON in one line of ASCII, so that any text fits into a header.
        if let fragment = environment.policyFragment { headers[.posternPolicy] = fragment }
        return .json(claimed.work.json(secret: WorkRecord.secret(sessionsToken: claimed.sessionsToken)).encoded, headers: headers)
    }
}
