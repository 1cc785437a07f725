import Foundation
import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// The resolver and the listeners on real sockets.
@Suite(.timeLimit(.minutes(1))) struct ResolverListenerTests {
    /// Answers with the name that it was given, as the proxy's path would serve it.
    private struct EchoIntake: ConnectionIntake {
        let refused = ForwardTestCounter()

        func take(_ channel: any Channel, target: CanonicalHost, port: UInt16, scheme: TransparentScheme) async {
            do {
                try await ByteChannel.taking(channel).executeThenClose { _, outbound in
                    try await outbound.write(ByteBuffer(string: "\(scheme) \(target):\(port)"))
                }
            } catch {}
        }
        func refuse(address: String, port: UInt16, reason: String) async { refused.add(1) }
    }

    private struct Ports: Sendable {
        var datagrams: Int
        var names: Int
        var https: Int
        var refused: ForwardTestCounter
    }

    private func withAccess(_ body: @escaping @Sendable (Ports) async throws -> Void) async throws {
        let intake = EchoIntake()
        let access = TransparentAccess(intake, group: .singletonMultiThreadedEventLoopGroup, logger: Logger(label: "test"))
        let (udp, tcp, https) = (try ForwardSockets.datagrams(), try ForwardSockets.listen(), try ForwardSockets.listen(on: 0))
        let ports = Ports(
            datagrams: try ForwardSockets.port(of: udp), names: try ForwardSockets.port(of: tcp), https: try ForwardSockets.port(of: https),
            refused: intake.refused)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await access.serveNames(datagrams: udp) }
            group.addTask { try await access.serveNames(connections: tcp) }
            group.addTask { try await access.serve(.https, port: 443, descriptor: https) }
            try await body(ports)
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    private static func read(_ host: String, _ port: Int) async throws -> String {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(host: host, port: port) { channel in
            channel.eventLoop.makeCompletedFuture { try ByteChannel(wrapping: channel) }
        }
        return try await channel.executeThenClose { inbound, _ in
            var text = ""
            for try await bytes in inbound { text += String(buffer: bytes) }
            return text
        }
    }

    @Test(.enabled(if: ForwardCommand.isInstalled("/usr/bin/dig"), "needs the package dnsutils"), arguments: ["+notcp", "+tcp"])
    func anAddressLeadsBackToItsName(_ transport: String) async throws {
        try await withAccess { ports in
            func dig(_ arguments: [String]) async throws -> String {
                let port = transport == "+tcp" ? ports.names : ports.datagrams
                let result = try await ForwardCommand(
                    path: "/usr/bin/dig", arguments: ["@127.0.0.1", "-p", "\(port)", "+short", "+tries=1", "+time=5", transport] + arguments
                ).run()
                return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            let address = try await dig(["api.example.com"])
            #expect(address.hasPrefix("127.1."))
            #expect(try await dig(["AAAA", "api.example.com"]) == "")
            #expect(try await Self.read(address, ports.https) == "https api.example.com:443")
        }
    }

    @Test func anAddressWithoutNameIsClosed() async throws {
        try await withAccess { ports in
            let stranger = try await Self.read("127.1.200.200", ports.https)
            #expect(stranger == "" && ports.refused.value == 1)
            // The listener hears 127.0.0.1 too; it stands for no name.
            let loopback = try await Self.read("127.0.0.1", ports.https)
            #expect(loopback == "")
        }
    }
}
