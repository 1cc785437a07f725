import PosternJSON

/// What becomes of requests, and what is told while they run.
extension StdioServerMachine {
    /// The outcome of a call of the kind `describe`.
    package mutating func described(_ number: Int, _ outcome: Result<ServerProfile, RPCError>) -> [Action] {
        guard let call = calls[number] else { return [] }
        if call.method == "initialize" {
            // After a failure the caller may try again.
            phase = if case .success = outcome { .handshake(call.revision) } else { .new }
        }
        return answered(number, outcome.map { Self.hello($0, call) })
    }

    private static func hello(_ profile: ServerProfile, _ call: Call) -> JSONObject {
        var result: JSONObject = ["capabilities": .object(profile.capabilities)]
        result["instructions"] = profile.instructions.map { .string($0) }
        if call.revision.era == .handshake {
            result["protocolVersion"] = .string(call.revision.rawValue)
            result["serverInfo"] = profile.server
        } else {
            result["supportedVersions"] = .array(Revision.allCases.map { .string($0.rawValue) })
            result["_meta"] = ["io.modelcontextprotocol/serverInfo": profile.server]
            result["resultType"] = "complete"
            // It may be another one tomorrow.
            result["ttlMs"] = 0
            result["cacheScope"] = "private"
        }
        return result
    }

    /// The outcome of any other call.
    package mutating func answered(_ number: Int, _ outcome: Result<JSONObject, RPCError>) -> [Action] {
        guard let call = calls.removeValue(forKey: number) else { return [] }
        numbers[call.id] = nil
        var actions: [Action] = []
        // Nobody waits for the answer to what was cancelled (utilities, "Cancellation").
        if !call.isCancelled {
            let message: JSONRPCMessage =
                switch outcome {
                case .success(let result): .response(id: call.id, result: result)
                case .failure(let error): .failure(id: call.id, error: error)
                }
            actions = reply(message, call.batch)
        }
        return call.batch.map { actions + settle($0) } ?? actions
    }

    /// Something that is told while a call runs: progress, under the caller's own token, and lines of a log where the caller wants them.
    package mutating func noticed(_ number: Int, _ method: String, _ params: JSONObject) -> [Action] {
        guard let call = calls[number], !call.isCancelled else { return [] }
        switch method {
        case "notifications/progress":
            guard let token = call.token else { return [] }
            var params = params
            params["progressToken"] = token
            return [write(.notification(method: method, params: params))]
        case "notifications/message": return call.wantsLog ? [write(.notification(method: method, params: params))] : []
        default: return ListKind(notification: method).map { changed($0) } ?? []
        }
    }

    /// A list has changed (handshake era).
    package func changed(_ kind: ListKind) -> [Action] { isListening ? [write(.notification(method: kind.notification, params: nil))] : [] }

    /// A line of the log that belongs to no call (handshake era).
    package func logged(_ params: JSONObject) -> [Action] {
        isListening ? [write(.notification(method: "notifications/message", params: params))] : []
    }

    /// The subscription stands, for these lists.
    package func acknowledged(_ number: Int, _ kinds: [ListKind]) -> [Action] {
        subscribed(number, "notifications/subscriptions/acknowledged", ["notifications": .object(JSONObject(kinds.map { ($0.filter, true) }))])
    }

    /// A list has changed, for a subscription.
    package func changed(_ number: Int, _ kind: ListKind) -> [Action] { subscribed(number, kind.notification, [:]) }

    private func subscribed(_ number: Int, _ method: String, _ params: JSONObject) -> [Action] {
        guard let call = calls[number], !call.isCancelled, case .subscribe = call.kind else { return [] }
        var params = params
        params["_meta"] = [RawMessage.subscriptionKey: call.id.json]
        return [write(.notification(method: method, params: params))]
    }

    /// Nothing comes from the caller any more: subscriptions, which have no end of their own, end; everything else may.
    package mutating func drain() -> [Action] {
        isDraining = true
        var actions: [Action] = []
        for (number, call) in calls.sorted(by: { $0.key < $1.key }) {
            guard case .subscribe = call.kind, !call.isCancelled else { continue }
            calls[number]?.isCancelled = true
            actions.append(.cancel(number))
        }
        return actions
    }
}
