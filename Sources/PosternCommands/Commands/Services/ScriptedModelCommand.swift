import ArgumentParser
import Logging
import PosternScriptedModel
import PosternTelemetry
import ServiceLifecycle

/// `postern scripted-model`
struct ScriptedModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scripted-model", abstract: "A model service that does what the message says, to try everything without a key.",
        discussion: """
            It speaks the Anthropic Messages API and OpenAI Chat Completions over HTTP; point `postern serve` at it:

              postern scripted-model --listen 127.0.0.1:8401
              postern serve --model-base-url http://127.0.0.1:8401

            \(ScriptedModel.grammar)
            """)

    @Option(name: .long, help: "Address and port; port 0 takes a free one. Loopback only.")
    var listen = "127.0.0.1:8401"

    func run() async throws {
        let address = try ListenAddress(listen)
        guard address.isLoopback else { throw ConfigurationError("--listen \(listen): the scripted model serves this machine only") }
        let logger = LogWriter(format: .text, level: .warning).logger("scripted-model")
        let server = ScriptedModelServer(host: address.host, port: address.port, logger: logger)
        try await Services.run([ScriptedModelService(server: server, address: address)], listen: address, logger: logger)
    }
}

/// The server as a service of the group.
private struct ScriptedModelService: Service {
    let server: ScriptedModelServer
    let address: ListenAddress

    func run() async throws {
        try await server.run { port in Terminal().print("The scripted model is listening on \(address.url(scheme: "http", port: port))") }
    }
}
