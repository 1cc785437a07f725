import PosternEgress
import Synchronization

/// The one proxy process of all sessions of a worker whose policy says `egress: shared`. It starts with the first of them and ends with the
/// last; when it breaks, all of them hear it as they would of a process of their own, and the next session starts another.
///
/// Each session has its own name, token, listeners, authority, secrets and budgets in there, and is handed its own reports only.
final class SharedEgress: Sendable {
    private struct Serving {
        let link: EgressLink
        var sessions: [String: AsyncStream<EgressReport>.Continuation] = [:]
    }

    private struct State {
        var next = 0
        var serving: Serving?
        /// Changes with each process, so that the end of one is not taken for that of the next.
        var generation = 0
        var starting: Task<Void, any Error>?
    }
    private let state = Mutex(State())
    private let launcher: any EgressLauncher

    init(launcher: any EgressLauncher) { self.launcher = launcher }

    /// A channel for one more session; the process is started where there is none.
    func join(_ session: String) async throws -> any EgressChannel {
        // A process may end between its start and this: tried again once, and then it is the process that does not work.
        for _ in 0..<2 {
            if let channel = member(session) { return channel }
            try await start().value
        }
        guard let channel = member(session) else { throw SessionEgress.Failure(description: "the shared egress proxy did not start") }
        return channel
    }

    private func member(_ session: String) -> Member? {
        state.withLock { state in
            guard let link = state.serving?.link else { return nil }
            // What an earlier stay of the same session left under way is not this one's.
            state.next += 1
            let name = "\(session)#\(state.next)"
            let (reports, feed) = AsyncStream.makeStream(of: EgressReport.self)
            state.serving?.sessions[name] = feed
            return Member(session: name, reports: reports, link: link, shared: self)
        }
    }

    /// One start at a time, for all who wait for it.
    private func start() -> Task<Void, any Error> {
        state.withLock { state in
            if let starting = state.starting { return starting }
            let task = Task {
                defer { self.state.withLock { $0.starting = nil } }
                let link = EgressLink(descriptor: try await self.launcher.launch(session: "shared"))
                let generation = self.state.withLock { state in
                    state.generation += 1
                    state.serving = Serving(link: link)
                    return state.generation
                }
                // Ends with the process.
                Task { await self.read(link, generation) }
            }
            state.starting = task
            return task
        }
    }

    private func read(_ link: EgressLink, _ generation: Int) async {
        for await report in link.reports {
            let feeds = state.withLock { state -> [AsyncStream<EgressReport>.Continuation] in
                guard state.generation == generation, let sessions = state.serving?.sessions else { return [] }
                // What is about the process is about all that it serves.
                return report.session.isEmpty ? Array(sessions.values) : sessions[report.session].map { [$0] } ?? []
            }
            for feed in feeds { feed.yield(report) }
        }
        let feeds = state.withLock { state -> [AsyncStream<EgressReport>.Continuation] in
            guard state.generation == generation else { return [] }
            defer { state.serving = nil }
            return state.serving.map { Array($0.sessions.values) } ?? []
        }
        for feed in feeds { feed.finish() }
    }

    fileprivate func leave(_ member: Member) {
        let (feed, isLast) = state.withLock { state -> (AsyncStream<EgressReport>.Continuation?, Bool) in
            guard state.serving?.link === member.link else { return (nil, false) }
            let feed = state.serving?.sessions.removeValue(forKey: member.session)
            let isLast = state.serving?.sessions.isEmpty == true
            if isLast { state.serving = nil }
            return (feed, isLast)
        }
        member.link.send(.stop(session: member.session))
        feed?.finish()
        // The process ends with its socket.
        if isLast { member.link.close() }
    }
}

/// One session's place in the shared process.
private struct Member: EgressChannel {
    let session: String
    let reports: AsyncStream<EgressReport>
    let link: EgressLink
    let shared: SharedEgress

    func send(_ command: EgressCommand) { link.send(command) }
    func close() { shared.leave(self) }
    func abort() { link.close() }
}
