import PosternJSON
import Synchronization

extension MCPClient {
    /// How often in a row a lost stream of notices is asked for, and how long it is waited before.
    private static let maximumListens = 5, listenDelay = Duration.seconds(1)

    /// Tells whenever the list of tools may have changed, until the task is cancelled or the server stops to tell: after each, `tools()` gives the
    /// new list.
    /// - Parameter begun: called when the server has begun to tell, and again after its stream was lost: what has changed in between is not
    ///   told.
    package func toolChanges(begun: @escaping @Sendable () -> Void = {}, _ changed: @escaping @Sendable () async -> Void) async throws(MCPError) {
        try await changes(of: [.tools], begun: { _ in begun() }) { name, _ in
            if ListKind(notification: name) == .tools { await changed() }
        }
    }

    /// Tells whenever one of these lists may have changed, likewise.
    /// - Parameters:
    ///   - begun: gets the lists whose changes the server tells.
    ///   - heard: gets each notification; in the handshake era also those that are about no list.
    package func changes(
        of kinds: [ListKind], begun: @escaping @Sendable ([ListKind]) async -> Void, _ heard: @escaping Notice
    ) async throws(MCPError) {
        // Nil before the server has begun once: what has never worked is not tried again.
        let failures = Mutex<Int?>(nil)
        var hasLostSession = false
        let told: Notice = { name, params in
            // What their schemas said of fields may be another now.
            if ListKind(notification: name) == .tools { await self.learn([]) }
            await heard(name, params)
        }
        while true {
            do throws(MCPError) {
                try await listenForChanges(
                    of: kinds,
                    begun: {
                        failures.withLock { $0 = 0 }
                        await begun($0)
                    }, told)
                throw .ended("it has ended the notices of changes")
            } catch {
                let count = failures.withLock { count in
                    count = count.map { $0 + 1 }
                    return count
                }
                // A session may be old, and may have ended before: a new one is tried, once.
                if count == nil, error == .sessionLost, !hasLostSession {
                    hasLostSession = true
                    continue
                }
                guard let count, count <= Self.maximumListens, error.mayPass else { throw error }
            }
            do { try await Task.sleep(for: Self.listenDelay) } catch { throw .cancelled }
        }
    }

    private func listenForChanges(
        of kinds: [ListKind], begun: @escaping @Sendable ([ListKind]) async -> Void, _ heard: @escaping Notice
    ) async throws(MCPError) {
        let server = try await open()
        let announced = kinds.filter { server.announcesChanges(of: $0) }
        let nothing = MCPError.notOffered("notices of changes of its \(kinds.map(\.rawValue).joined(separator: ", "))")
        guard !announced.isEmpty else { throw nothing }
        guard server.era == .modern else {
            return try await listen(begun: { await begun(announced) }) { message in
                guard case .notification(let name, let params) = message else { return }
                if let kind = ListKind(notification: name), !announced.contains(kind) { return }
                await heard(name, params ?? [:])
            }
        }
        let filter = JSONObject(announced.map { ($0.filter, true) })
        try await subscribe("subscriptions/listen", ["notifications": .object(filter)]) { message in
            guard case .notification(let name, let params) = message else { return .nothing }
            if name == "notifications/subscriptions/acknowledged" {
                let agreed = announced.filter { params?["notifications"]?[$0.filter]?.bool == true }
                guard !agreed.isEmpty else { return .refused(nothing) }
                await begun(agreed)
                return .agreed
            }
            if let kind = ListKind(notification: name), announced.contains(kind) { await heard(name, params ?? [:]) }
            return .nothing
        }
    }
}

extension MCPError {
    /// Whether what was asked for may be had a little later: a lost stream of notices is asked for again then.
    var mayPass: Bool {
        switch self {
        case .sessionLost, .outcomeUnknown, .unreachable, .status(500..., _), .connector("upstream_connection", _): true
        case .oauth(let problem): problem.kind == .unreachable
        default: false
        }
    }
}
