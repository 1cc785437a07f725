import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import PosternJSON
import Synchronization

/// A small Vault: AppRole, tokens that run out, both versions of the key-value engine, a namespace, and faults on demand.
final class SecretSourceVaultDouble: Sendable {
    struct Seen: Sendable, Hashable {
        var method: String
        var target: String
        var token: String?
        var namespace: String?
    }
    struct State: Sendable {
        /// Path below `/v1/` to the answer's `data`.
        var secrets: [String: JSON] = [:]
        /// Tokens that are good, with the seconds that they say they have.
        var tokens: [String: Int] = [:]
        var isRenewable = true
        var roleID = "role"
        var secretID = "secret"
        /// Given out by the next logins.
        var nextTokens: [String] = []
        /// Status and body that the next requests get instead of an answer.
        var faults: [(Int, String)] = []
        /// The connection is closed without an answer, or never answered.
        var isSilent = false
        var seen: [Seen] = []
    }
    private let state = Mutex(State())
    let port: Int
    private let descriptor: Int32

    init() throws {
        descriptor = try ForwardSockets.listen()
        port = try ForwardSockets.port(of: descriptor)
    }

    var seen: [Seen] { state.withLock { $0.seen } }
    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    /// Serves until the task is cancelled; over TLS if a context is given.
    func run(tls: NIOSSLContext? = nil) async throws {
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup).bind(descriptor) { channel in
            channel.eventLoop.makeCompletedFuture {
                if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                return try NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>(wrappingChannelSynchronously: channel)
            }
        }
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { accepted in
                for try await channel in accepted { group.addTask { try? await self.serve(channel) } }
            }
            group.cancelAll()
        }
    }

    private func serve(_ channel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>) async throws {
        try await channel.executeThenClose { inbound, outbound in
            var head: HTTPRequestHead?
            var body: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let value): head = value
                case .body(let bytes): body += Array(bytes.readableBytesView)
                case .end:
                    guard let head, let (status, answer) = answer(head, body) else { return }
                    var headers = HTTPHeaders([("content-type", "application/json"), ("content-length", "\(answer.utf8.count)")])
                    if status == 307 { headers.add(name: "location", value: "http://127.0.0.1:1/") }
                    try await outbound.write(.head(.init(version: .http1_1, status: .init(statusCode: status), headers: headers)))
                    try await outbound.write(.body(.byteBuffer(ByteBuffer(string: answer))))
                    try await outbound.write(.end(nil))
                }
            }
        }
    }

    private func answer(_ head: HTTPRequestHead, _ body: [UInt8]) -> (Int, String)? {
        state.withLock { state in
            let token = head.headers.first(name: "x-vault-token")
            state.seen.append(
                Seen(method: head.method.rawValue, target: head.uri, token: token, namespace: head.headers.first(name: "x-vault-namespace")))
            guard !state.isSilent, head.headers.first(name: "x-vault-request") == "true" else { return nil }
            if !state.faults.isEmpty { return state.faults.removeFirst() }
            let json = try? JSON(parsing: body)
            func auth(_ token: String) -> (Int, String) {
                let lease = state.tokens[token] ?? 0
                let answer: JSON = ["auth": ["client_token": .string(token), "lease_duration": JSON(lease), "renewable": .bool(state.isRenewable)]]
                return (200, answer.text)
            }
            if head.uri == "/v1/auth/approle/login" {
                guard json?["role_id"]?.string == state.roleID, json?["secret_id"]?.string == state.secretID, !state.nextTokens.isEmpty else {
                    return (400, #"{"errors":["invalid role or secret ID"]}"#)
                }
                return auth(state.nextTokens.removeFirst())
            }
            guard let token, state.tokens[token] != nil else { return (403, #"{"errors":["permission denied"]}"#) }
            switch (head.method, head.uri) {
            case (.POST, "/v1/auth/token/renew-self"): return state.isRenewable ? auth(token) : (400, #"{"errors":["lease is not renewable"]}"#)
            case (.GET, "/v1/auth/token/lookup-self"):
                let answer: JSON = ["data": ["ttl": JSON(state.tokens[token] ?? 0), "renewable": .bool(state.isRenewable)]]
                return (200, answer.text)
            case (.GET, let target):
                guard target.hasPrefix("/v1/"), let data = state.secrets[String(target.dropFirst(4))] else { return (404, #"{"errors":[]}"#) }
                let answer: JSON = ["lease_duration": 2_764_800, "data": data]
                return (200, answer.text)
            default: return (405, "{}")
            }
        }
    }
}
