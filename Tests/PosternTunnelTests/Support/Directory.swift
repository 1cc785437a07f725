import PosternEdge
import PosternJSON
import PosternTunnelWire
import Synchronization

/// The control plane's side of an edge, in memory: the port's twin for these tests.
final class MemoryDirectory: EdgeDirectory {
    private struct State {
        var revision = 1
        var tunnels: [EdgeTunnel] = []
        var authorities: [String: String] = [:]
        var ended: Set<String> = []
        var questions: [[String]] = []
        var hasAnswered = false
        var answersOfEnds = true
        /// Tunnel ids by token.
        var tokens: [String: String] = [:]
        var rotated: Set<String> = []
        /// Workspaces by API key.
        var credentials: [String: String] = [:]
        var reports: [String: [EdgeLegReport]] = [:]
        var waiters: [CheckedContinuation<Void, Never>] = []
        /// Is waited for before a token enrols a key.
        var beforeEnrolment: (@Sendable () async -> Void)?
        /// What the control plane says of a tunnel's log; throws to keep it back.
        var registrations: (@Sendable (_ since: Int) throws -> JSON)?
    }
    private let state = Mutex(State())

    /// Makes a change that edges hear of.
    func change(_ body: (inout [EdgeTunnel]) -> Void) {
        let waiters = state.withLock { state in
            body(&state.tunnels)
            state.revision += 1
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Says nothing until the next change, as a control plane that does not answer.
    func fallSilent() { state.withLock { $0.revision = 0 } }

    func change(_ id: String, _ body: (inout EdgeTunnel) -> Void) {
        change { tunnels in
            for index in tunnels.indices where tunnels[index].id == id { body(&tunnels[index]) }
        }
    }

    /// Whether an edge was told of the tunnels.
    var hasAnswered: Bool { state.withLock { $0.hasAnswered } }

    func setToken(_ token: String, tunnelID: String) { state.withLock { $0.tokens[token] = tunnelID } }

    func rotate(_ token: String) {
        state.withLock { state in
            state.tokens[token] = nil
            state.rotated.insert(token)
        }
    }

    func setCredential(_ credential: String, workspaceID: String) { state.withLock { $0.credentials[credential] = workspaceID } }

    var reports: [String: [EdgeLegReport]] { state.withLock { $0.reports } }

    func tunnels(after revision: Int?) async throws(EdgeDirectoryError) -> EdgeTunnels {
        // Who asks for what follows has taken in what was before.
        if revision != nil { state.withLock { $0.hasAnswered = true } }
        while true {
            let now = state.withLock {
                $0.revision > (revision ?? 0) ? EdgeTunnels(revision: $0.revision, tunnels: $0.tunnels, authorities: $0.authorities) : nil
            }
            if let now { return now }
            if Task.isCancelled { throw EdgeDirectoryError("cancelled") }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isOver = state.withLock { state in
                        if state.revision > (revision ?? 0) || Task.isCancelled { return true }
                        state.waiters.append(continuation)
                        return false
                    }
                    if isOver { continuation.resume() }
                }
            } onCancel: {
                let waiters = state.withLock { state in
                    defer { state.waiters = [] }
                    return state.waiters
                }
                for waiter in waiters { waiter.resume() }
            }
        }
    }

    func enrol(token: String, connectorKey: [UInt8]) async throws(EdgeDirectoryError) -> EdgeEnrolment {
        await state.withLock { $0.beforeEnrolment }?()
        let known = state.withLock { ($0.tokens[token], $0.rotated.contains(token)) }
        if known.1 { return .refused(LegRefusal(.tokenRotated, "token_rotated: it was replaced")) }
        guard let id = known.0 else { return .refused(LegRefusal(.tokenUnknown, "token_unknown: nobody has it")) }
        let fingerprint = Fingerprint.of(connectorKey)
        change(id) { $0.connectorKeys.insert(fingerprint) }
        return .enrolled(tunnelID: id, fingerprint: fingerprint)
    }

    func holdEnrolments(_ wait: @escaping @Sendable () async -> Void) { state.withLock { $0.beforeEnrolment = wait } }

    func authorize(credential: String, tunnelID: String) async throws(EdgeDirectoryError) -> EdgePrincipal? {
        state.withLock { state in
            guard let workspace = state.credentials[credential], state.tunnels.contains(where: { $0.id == tunnelID && $0.workspaceID == workspace })
            else { return nil }
            return EdgePrincipal(workspaceID: workspace, id: "of " + credential)
        }
    }

    func ended(_ principals: [String]) async throws(EdgeDirectoryError) -> Set<String> {
        let ended: Set<String>? = state.withLock { state in
            state.questions.append(principals)
            return state.answersOfEnds ? state.ended.intersection(principals) : nil
        }
        guard let ended else { throw EdgeDirectoryError("no answer") }
        return ended
    }

    /// Whether `ended` is answered.
    func answerOfEnds(_ answers: Bool) { state.withLock { $0.answersOfEnds = answers } }

    /// How often it was asked about the principal.
    func questions(about principal: String) -> Int { state.withLock { $0.questions.count { $0.contains(principal) } } }

    /// Revokes what is called `principal`.
    func end(_ principal: String) { state.withLock { _ = $0.ended.insert(principal) } }

    func setAuthority(_ pem: String, workspaceID: String) { state.withLock { $0.authorities[workspaceID] = pem } }

    func answerRegistrations(_ answer: @escaping @Sendable (_ since: Int) throws -> JSON) { state.withLock { $0.registrations = answer } }

    func registrations(tunnelID: String, since: Int) async throws(EdgeDirectoryError) -> JSON {
        let answer = state.withLock { $0.registrations }
        do {
            guard let answer else { throw EdgeDirectoryError("nothing is registered") }
            return try answer(since)
        } catch {
            throw EdgeDirectoryError("\(error)")
        }
    }

    func report(_ legs: [String: [EdgeLegReport]]) async throws(EdgeDirectoryError) { state.withLock { $0.reports = legs } }
}
