import PosternEgress

/// A session's end of the conversation with the proxy process that serves it, alone or beside others.
protocol EgressChannel: Sendable {
    /// What the session is called in that conversation.
    var session: String { get }
    /// What the proxy says of this session, and of the process itself; ends when the process is gone. For one reader.
    var reports: AsyncStream<EgressReport> { get }
    func send(_ command: EgressCommand)
    /// Ends the session there. Idempotent.
    func close()
    /// Ends the process, whatever else it serves: it does not do what it is told.
    func abort()
}

/// The channel to a process of the session's own.
struct OwnEgress: EgressChannel {
    let session: String
    private let link: EgressLink

    init(session: String, launcher: any EgressLauncher) async throws {
        self.session = session
        link = EgressLink(descriptor: try await launcher.launch(session: session))
    }

    var reports: AsyncStream<EgressReport> { link.reports }
    func send(_ command: EgressCommand) { link.send(command) }
    func close() { link.close() }
    func abort() { link.close() }
}
