import ArgumentParser
import Logging
import PosternEgress
import PosternSandboxWire

/// `postern egress`: the egress proxy of a session, started by a worker's spawner. Not for people.
struct EgressProcessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "egress", abstract: "Serve a sandbox's connections; started by a worker.", shouldDisplay: false)

    func run() async throws {
        let logger = Logger(label: "postern.egress") { StreamLogHandler.standardError(label: $0) }
        throw ExitCode(await EgressProcess.run(control: SandboxPaths.controlDescriptor, logger: logger))
    }
}
