import ArgumentParser
import Logging
import ManagedAgentsClient
import NIOPosix
import PosternEdge
import PosternTelemetry

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `postern edge-process`: the edge of `postern serve --with-edge`. Not for people.
struct EdgeProcessCommand: AsyncParsableCommand {
    static let name = "edge-process"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Relay for tunnels; started by a control plane.", shouldDisplay: false)

    func run() async throws {
        let handover = try EdgeHandover.received()
        var options = TunnelLogOptions()
        (options.logFormat, options.logLevel) = (handover.logFormat, handover.logLevel)
        let logger = try options.logger("edge")
        try EdgeConfinement.report(to: logger)
        var settings = EdgeSettings(
            host: "", port: 0, domain: handover.domain, certificate: Array(handover.certificate.utf8), key: Array(handover.key.utf8))
        settings.listener = EdgeHandover.Descriptor.listener
        handover.bounds.apply(to: &settings)
        let transport: AsyncHTTPTransport
        do {
            transport = try .toControlPlane(try BaseURL(handover.controlPlane), caFile: nil, proxy: nil)
        } catch {
            throw CommandError(.configuration, "the control plane: \(error)")
        }
        let directory = ControlPlaneDirectory(
            client: ManagedAgentsClient(transport: transport, credential: Secret(handover.apiKey)), edge: handover.domain)
        let registry = MetricsRegistry()
        let edge = Edge(settings, directory: directory, metrics: EdgeMetrics(registry), logger: logger)
        // Its thread has to be there before the filter: it is the one that ends everything.
        Lifeline.watch(EdgeHandover.Descriptor.lifeline) { edge.drain() }
        try EdgeConfinement.apply()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                if handover.servesMetrics {
                    let listener = EdgeMetricsListener(listener: EdgeHandover.Descriptor.metrics, registry: registry)
                    group.addTask { try await listener.run() }
                }
                group.addTask { try await edge.run { _ in logger.info("the edge serves", metadata: ["domain": "\(handover.domain)"]) } }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            await transport.shutdown()
            throw error
        }
        await transport.shutdown()
    }
}

/// The pipe to the process that has started this one: a byte asks for a gentle end, and with its end everything ends at once.
private enum Lifeline {
    static func watch(_ descriptor: Int32, onByte drain: @escaping @Sendable () -> Void) {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        pool.submit { _ in
            var byte: UInt8 = 0
            while true {
                let count = read(descriptor, &byte, 1)
                if count < 0, errno == EINTR { continue }
                guard count == 1 else { _exit(0) }
                drain()
            }
        }
    }
}
