import Hummingbird
import Logging
import NIOCore

/// Serves the scripted model over plain HTTP: the Messages API, and OpenAI's Chat Completions beside it.
/// Run it with ``run(onListening:)``; cancel the task, or stop the service group around it, to stop it.
package struct ScriptedModelServer: Sendable {
    private let host: String
    private let port: Int
    private let logger: Logger

    /// - Parameters:
    ///   - host: the address to listen on, such as `127.0.0.1`.
    ///   - port: 0 lets the system choose; ``run(onListening:)`` tells the choice.
    package init(host: String = "127.0.0.1", port: Int = 0, logger: Logger) {
        self.host = host
        self.port = port
        self.logger = logger
    }

    /// Listens until it is cancelled.
    /// - Parameter onListening: called once with the bound port.
    /// - Throws: what binding the address throws.
    package func run(onListening: @escaping @Sendable (Int) async -> Void = { _ in }) async throws {
        let application = Application(
            responder: ScriptedResponder(),
            configuration: .init(address: .hostname(host, port: port), serverName: nil),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            logger: logger
        )
        try await application.run()
    }
}
