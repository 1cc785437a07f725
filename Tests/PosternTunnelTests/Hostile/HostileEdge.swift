import NIOCore
import NIOPosix
import NIOSSL
import PosternConnector
import PosternHTTP
import PosternTLS
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// An edge that does what a test tells it. Connectors dial its one door and callers the other; between them it has what a real edge has and nothing
/// else: the key of its own name, the legs, and the bytes that pass.
final class HostileEdge: Sendable {
    /// What becomes of one caller's connection.
    typealias Deed = @Sendable (HostileEdge, ByteStream) async throws -> Void

    private struct State {
        /// By the connector's name for them: `host/0`.
        var legs: [String: Leg] = [:]
        var waiters: [CheckedContinuation<Void, Never>] = []
        var deed: Deed?
        var seen: [UInt8] = []
        var strikes = 0
    }
    private let state = Mutex(State())
    private let legDoor: Door
    private let callDoor: Door
    private let outer: NIOSSLContext

    init(_ world: TunnelWorld) async throws {
        legDoor = try await Door()
        callDoor = try await Door()
        let leaf = world.edgeAuthority.leaf
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(leaf.certificatePEM.utf8)).map { .certificate($0) },
            privateKey: .privateKey(try .init(bytes: Array(leaf.keyPEM.utf8), format: .pem)))
        tls.minimumTLSVersion = .tlsv13
        tls.applicationProtocols = ["http/1.1"]
        tls.certificateVerification = .optionalVerification
        tls.trustRoots = .certificates([])
        outer = try NIOSSLContext(configuration: tls)
    }

    var legPort: Int { legDoor.port }
    var callPort: Int { callDoor.port }

    /// Serves until it is cancelled.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await legDoor.serve { [self] in try await takeLeg($0) } }
            group.addTask { [self] in
                try await callDoor.serve { [self] stream in
                    if let deed = state.withLock({ $0.deed }) { try await deed(self, stream) }
                }
            }
            try await group.waitForAll()
        }
    }

    /// What is done with the connections of callers from now on; what was seen and done before is forgotten.
    func set(_ deed: @escaping Deed) {
        state.withLock { state in
            state.deed = deed
            state.seen = []
            state.strikes = 0
        }
    }

    /// Everything that has passed, and everything that the edge has come to read.
    var seen: [UInt8] { state.withLock { $0.seen } }
    func see(_ bytes: ByteBuffer) { state.withLock { $0.seen += bytes.readableBytesView } }

    /// How often something was done that an honest edge does not do: a try that did nothing shows nothing.
    var strikes: Int { state.withLock { $0.strikes } }
    func strike() { state.withLock { $0.strikes += 1 } }

    // MARK: Legs

    /// A leg with this name, when there is one.
    func leg(_ name: String) async -> Leg {
        while true {
            if let leg = state.withLock({ $0.legs[name] }) { return leg }
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    if state.legs[name] != nil { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if isThere { continuation.resume() }
            }
        }
    }

    private func takeLeg(_ stream: ByteStream) async throws {
        let tls = outer
        _ = try await stream.startTLS(within: .seconds(10)) {
            NIOSSLServerHandler(context: tls, customVerificationCallback: { $1.succeed(.certificateVerified) }, configuration: .init())
        }
        var reader = MessageReader(stream)
        guard let lines = try await reader.head(idle: .seconds(10), whole: .seconds(10)) else { return }
        let request = try LegRequest(try RequestHead(lines: lines))
        try await stream.write(LegAnswer.accepted(date: "Fri, 27 Nov 2026 20:00:00 GMT"))
        let leg = try await Leg.begin(.edge, on: stream, rest: reader.takeBuffer(), .init(goAway: { _ in }))
        let waiters = state.withLock { state in
            state.legs[request.leg] = leg
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
        await withTaskCancellationHandler {
            await leg.ended()
        } onCancel: {
            leg.close()
        }
    }

    // MARK: Relaying

    /// Passes a call on to a connector, as an honest edge does but for what `tap` does to the bytes.
    func relay(
        _ client: ByteStream, leg name: String = "host/0", to host: String = "docs.\(TunnelWorld.domain)", tap: any Tap = HonestTap()
    ) async throws {
        guard let first = try await client.read(within: .seconds(10)) else { return }
        see(first)
        let passing = try await tap.pass(first, .toConnector)
        var start = ByteBuffer()
        for piece in passing.pieces { start.writeImmutableBuffer(piece) }
        let leg: ByteStream
        do {
            leg = try await self.leg(name).open(host: host, first: start, within: .seconds(10))
        } catch {
            // As a real edge says it.
            try? await client.write(TLSAlert.internalError.record)
            await client.closeGently(within: .seconds(1))
            throw error
        }
        let way = TappedWay(edge: self, client: client, leg: leg, tap: tap)
        await way.run(afterFirst: passing.end)
    }

    /// Ends TLS itself, with whatever certificate it has, reads what it is asked and answers with a forgery.
    func impersonate(_ client: ByteStream, with context: NIOSSLContext) async throws {
        strike()
        _ = try await client.startTLS(within: .seconds(10)) { NIOSSLServerHandler(context: context) }
        try await forge(client)
    }

    static let forgery = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    func forge(_ client: ByteStream) async throws {
        guard let asked = try await client.read(within: .seconds(10)) else { return }
        see(asked)
        try await client.write(ByteBuffer(string: Self.forgery))
        await client.closeGently(within: .seconds(1))
    }
}

/// A listening socket on loopback.
private struct Door: Sendable {
    private let server: NIOAsyncChannel<ByteStream, Never>
    let port: Int

    init() async throws {
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
            }
        port = server.channel.localAddress?.port ?? 0
    }

    /// What fails on one connection ends that one.
    func serve(_ body: @escaping @Sendable (ByteStream) async throws -> Void) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { inbound in
                for try await stream in inbound {
                    group.addTask {
                        try? await body(stream)
                        stream.close()
                    }
                }
            }
        }
    }
}
