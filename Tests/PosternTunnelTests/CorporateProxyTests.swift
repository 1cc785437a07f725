import NIOCore
import NIOPosix
import PosternHTTP
import PosternPolicy
import PosternTunnelLink
import Synchronization
import Testing

@testable import PosternConnector

@Suite("The corporate proxy, by its answers", .timeLimit(.minutes(1)))
struct CorporateProxyTests {
    /// Answers every connection with the same bytes, and keeps the head that it was asked with.
    private final class ScriptedProxy: Sendable {
        private let server: NIOAsyncChannel<ByteStream, Never>
        private let heads = Mutex<[String]>([])
        let port: UInt16

        init() async throws {
            server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelOption(.autoRead, value: false)
                .bind(host: "127.0.0.1", port: 0) { channel in
                    channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
                }
            port = UInt16(server.channel.localAddress?.port ?? 0)
        }

        var asked: [String] { heads.withLock { $0 } }

        func run(_ answer: String) async throws {
            try await server.executeThenClose { connections in
                for try await stream in connections {
                    var reader = MessageReader(stream)
                    if let lines = try? await reader.head(idle: .seconds(10), whole: .seconds(10)) {
                        heads.withLock { $0.append(lines.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")) }
                    }
                    try? await stream.write(ByteBuffer(string: answer))
                    await stream.closeGently()
                }
            }
        }
    }

    /// What comes of asking for `edge.example.com:443`: the refusal, or `nil`; and what the proxy was asked with.
    private static func ask(_ answer: String, secret: String? = nil) async throws -> (refusal: ProxyRefusal?, asked: String, steps: [DialStep]) {
        let proxy = try await ScriptedProxy()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await proxy.run(answer) }
            let path = EdgePath(
                proxy: CorporateProxy(address: try Authority("127.0.0.1:\(proxy.port)"), tls: nil, secret: secret),
                // The edge's name is the proxy's to resolve.
                resolve: { name in throw DialError("\(name) was resolved here") }, group: MultiThreadedEventLoopGroup.singleton,
                connectTime: .seconds(10), time: .seconds(10))
            let steps = Mutex<[DialStep]>([])
            do {
                let stream = try await path.connect(to: try Authority("edge.example.com:443")) { step in steps.withLock { $0.append(step) } }
                stream.close()
                return (nil, proxy.asked.joined(), steps.withLock { $0 })
            } catch let refusal as ProxyRefusal {
                return (refusal, proxy.asked.joined(), steps.withLock { $0 })
            }
        }
    }

    @Test("is asked for the edge by its name, with Basic where there is a secret")
    func asking() async throws {
        let plain = try await Self.ask("HTTP/1.1 200 Connection established\r\n\r\n")
        #expect(plain.refusal == nil && plain.steps.last == .proxied && plain.steps.count == 2)
        #expect(plain.asked == "CONNECT edge.example.com:443 HTTP/1.1\nHost: edge.example.com:443")
        let secret = try await Self.ask("HTTP/1.0 200 OK\r\nVia: 1.0 x\r\n\r\n", secret: "user:pä:ss")
        #expect(secret.refusal == nil && secret.asked.hasSuffix("\nProxy-Authorization: Basic dXNlcjpww6Q6c3M="))
    }

    @Test("what it refuses is told with its remedy, and without the secret")
    func refusals() async throws {
        let secret = "user:CANARY"
        for (answer, hasSecret, what, remedy) in [
            ("HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n", false, "asks for a user name", "name a file"),
            (
                "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n", true, "refuses the user name",
                "right user:password"
            ),
            (
                "HTTP/1.1 407 X\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n", true, "407",
                "negotiate, ntlm"
            ),
            (
                "HTTP/1.1 407 X\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n", true, "407",
                "right user"
            ),
            ("HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n", true, "refuses the user name and the password (401)", "right user"),
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", true, "does not let this host", "allow CONNECT to edge.example.com:443"),
            ("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", false, "could not reach it (503)", "resolves and reaches"),
            ("HTTP/1.1 405 X\r\nContent-Length: 0\r\n\r\n", false, "answered 405", "no proxy for CONNECT"),
            ("SSH-2.0-x\r\n\r\n", false, "no answer to CONNECT", "edges.proxy.url"), ("", false, "closed the connection", "edges.proxy.url"),
            // Bytes before the edge can have said any.
            ("HTTP/1.1 200 OK\r\n\r\nx", false, "no answer to CONNECT", "edges.proxy.url"),
        ] {
            let told = try await Self.ask(answer, secret: hasSecret ? secret : nil)
            let refusal = try #require(told.refusal, "\(answer)")
            #expect(refusal.description.contains(what) && refusal.remedy.contains(remedy), "\(answer): \(refusal); \(refusal.remedy)")
            #expect(!"\(refusal) \(refusal.remedy) \(String(reflecting: refusal))".contains("CANARY"))
            #expect(!told.steps.contains(.proxied))
        }
        let proxy = CorporateProxy(address: try Authority("proxy.corp:3128"), tls: nil, secret: secret)
        #expect(!"\(proxy) \(String(reflecting: proxy)) \(Mirror(reflecting: proxy).children.map { "\($0)" })".contains("CANARY"))
    }
}
