import CPosternSandbox
import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import PosternGate
import PosternJSON
import PosternPolicy
import Synchronization

@testable import PosternEgress

/// A proxy that serves one session on loopback, with a worker that records everything at once.
final class ProxyFixture: Sendable {
    /// What the worker does with a report before it answers; by default nothing.
    typealias Worker = @Sendable (EgressReport) async -> Void

    let link: EgressLink
    let token: ProxyToken
    let port: Int
    /// PEM of the session's authority.
    let certificate: String
    let secrets: [BoundSecret]
    private let log: Mutex<[EgressReport]>
    private let grants = Mutex<[Int?]>([])

    private init(_ link: EgressLink, _ token: ProxyToken, _ port: Int, _ certificate: String, _ secrets: [BoundSecret]) {
        self.link = link
        self.token = token
        self.port = port
        self.certificate = certificate
        self.secrets = secrets
        log = Mutex([])
    }

    var reports: [EgressReport] { log.withLock { $0 } }
    var refusals: [EgressRefusal] { reports.compactMap { if case .refusal(_, _, let refusal) = $0 { refusal } else { nil } } }
    var intents: [EgressIntent] { reports.compactMap { if case .intent(_, _, let intent) = $0 { intent } else { nil } } }
    var outcomes: [EgressOutcome] { reports.compactMap { if case .outcome(_, _, let outcome) = $0 { outcome } else { nil } } }

    private let watchers = Mutex<[AsyncStream<Void>.Continuation]>([])

    private func add(_ report: EgressReport) {
        log.withLock { $0.append(report) }
        for watcher in watchers.withLock({ $0 }) { watcher.yield() }
    }

    /// Waits until the reports so far fulfil `condition`.
    func wait(until condition: @Sendable (ProxyFixture) -> Bool) async {
        let (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        watchers.withLock { $0.append(change) }
        if condition(self) { return }
        for await _ in changes where condition(self) { return }
    }

    /// The outcomes, once there are so many.
    func outcomes(_ count: Int) async -> [EgressOutcome] {
        await wait { $0.outcomes.count >= count }
        return outcomes
    }

    /// Answers to the next questions about budgets.
    func grant(_ answers: [Int?]) { grants.withLock { $0 += answers } }

    struct Setup: Sendable {
        var policy: NetworkPolicy
        var secrets: [BoundSecret] = []
        var roots: String?
        var redaction: RedactionRules?
        var parent: Authority?
        var limits = EgressConfiguration.Limits()
        /// Addresses by name; a name without one is unknown.
        var names: [String: [String]] = [:]
        var worker: Worker = { _ in }

        /// `rules` is the JSON of the policy's rules. Loopback is dialled.
        init(_ rules: String, budgets: ByteBudgets = .init(), addresses: [String] = ["127.0.0.0/8"]) throws {
            policy = try NetworkPolicy(json: try JSON(parsing: #"{"rules":\#(rules)}"#))
            policy.budgets = budgets
            policy.addresses = AddressPolicy(allowed: try addresses.map { try AddressRange($0) })
        }
    }

    static func run(_ setup: Setup, _ body: @Sendable (ProxyFixture) async throws -> Void) async throws {
        var pair: [Int32] = [0, 0]
        guard psb_socket_pair(&pair) == 0 else { throw ChannelError.operationUnsupported }
        let (worker, proxy) = (pair[0], pair[1])
        let names = setup.names
        let resolve: NameResolver = { name in
            guard let addresses = names[name] else { throw UnknownName(name: name, reason: "not in the test") }
            return addresses.compactMap { IPAddress($0) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await EgressProcess.serve(
                    control: proxy, group: .singletonMultiThreadedEventLoopGroup, resolve: resolve,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            }
            let link = EgressLink(descriptor: worker)
            var random = SystemRandomNumberGenerator()
            let token = ProxyToken(using: &random)
            var configuration = EgressConfiguration(session: "sesn_test", token: token, policy: setup.policy)
            configuration.secrets = setup.secrets
            configuration.extraRoots = setup.roots
            configuration.parentProxy = setup.parent
            configuration.limits = setup.limits
            configuration.policyDigest = "digest-1"
            configuration.redaction = setup.redaction
            configuration.redactionKey = Array("test".utf8)
            link.send(.configure(configuration))
            let listener = try ForwardSockets.listen()
            let port = try ForwardSockets.port(of: listener)
            link.send(.listen(session: "sesn_test", .proxy, descriptor: listener))
            let ready = await link.reports.first { _ in true }
            guard case .ready(_, let certificate) = ready else { throw UnknownName(name: "ready", reason: "\(String(describing: ready))") }
            let fixture = ProxyFixture(link, token, port, certificate, setup.secrets)
            let worker = setup.worker
            group.addTask {
                for await report in link.reports {
                    fixture.add(report)
                    await worker(report)
                    switch report {
                    case .intent(let id, _, _), .refusal(let id, _, _), .secretUsed(let id, _, _, _, _): link.send(.recorded(id: id))
                    case .ask(let id, _, _):
                        link.send(.answer(id: id, bytes: fixture.grants.withLock { $0.isEmpty ? nil : $0.removeFirst() }))
                    default: break
                    }
                }
            }
            let result: Result<Void, any Error>
            do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
            link.close()
            try await group.waitForAll()
            try result.get()
        }
    }

    // MARK: clients

    var url: String { "http://session:\(token.text)@127.0.0.1:\(port)" }
    var authorization: String {
        "Proxy-Authorization: Basic \(String(decoding: Base64.encode(Array("session:\(token.text)".utf8)), as: UTF8.self))\r\n"
    }

    func connect(port: Int? = nil) async throws -> ByteStream {
        try await ByteStream.attach(
            to: try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .channelOption(.autoRead, value: false)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .connect(host: "127.0.0.1", port: port ?? self.port).get())
    }

    /// Sends bytes to the proxy (or to another port) and reads to the end of the connection.
    func raw(_ text: String, port: Int? = nil) async throws -> String {
        let stream = try await connect(port: port)
        defer { stream.close() }
        try await stream.write(Array(text.utf8))
        return try await stream.readAll()
    }

    /// A tunnel to `target`, after its 200. Throws the proxy's whole answer otherwise.
    func tunnel(_ target: String) async throws -> ByteStream {
        let stream = try await connect()
        try await stream.write(Array("CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\(authorization)\r\n".utf8))
        var answer = ""
        while !answer.contains("\r\n\r\n"), let bytes = try await stream.read(within: .seconds(20)) { answer += String(buffer: bytes) }
        guard answer.hasPrefix("HTTP/1.1 200 ") else {
            answer += try await stream.readAll()
            stream.close()
            throw TunnelRefused(answer: answer)
        }
        return stream
    }

    struct TunnelRefused: Error {
        var answer: String
    }

    /// TLS through the tunnel, as `name` (`nil` for an address), trusting the session's authority only, or `root` only.
    func secure(_ target: String, name: String?, root: String? = nil) async throws -> ByteStream {
        let stream = try await tunnel(target)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array((root ?? certificate).utf8)))
        let context = try NIOSSLContext(configuration: configuration)
        try await stream.startTLS { try NIOSSLClientHandler(context: context, serverHostname: name) }
        return stream
    }

    /// One request over TLS, answered to the end of the connection.
    func https(_ target: String, name: String?, root: String? = nil, _ request: String) async throws -> String {
        let stream = try await secure(target, name: name, root: root)
        defer { stream.close() }
        // A server may answer and close before it has the whole request.
        async let written: Void = stream.write(Array(request.utf8))
        let answer = try await stream.readAll()
        _ = try? await written
        return answer
    }
}

extension ByteStream {
    /// Everything up to the end; what broke the connection counts as its end.
    func readAll() async throws -> String {
        var output = ByteBuffer()
        while let bytes = try? await read(within: .seconds(20)) { output.writeImmutableBuffer(bytes) }
        return String(buffer: output)
    }
}
