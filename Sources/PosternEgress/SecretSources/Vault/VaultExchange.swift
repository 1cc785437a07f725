import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import PosternJSON
import PosternHTTP
import PosternPolicy

/// One request to Vault and its answer over a connection of their own, within bounds of time and size.
struct VaultExchange: Sendable {
    /// Seconds to connect, and for all of it.
    static let connectTime = TimeAmount.seconds(5)
    static let wholeTime = TimeAmount.seconds(15)
    static let longestAnswer = 1 << 20

    private let authority: Authority
    private let tls: NIOSSLContext?
    private let namespace: String?
    private let group: any EventLoopGroup

    init(_ authority: Authority, isTLS: Bool, authorities: [UInt8]?, namespace: String?, group: any EventLoopGroup) throws(SecretSourceError) {
        self.authority = authority
        self.namespace = namespace
        self.group = group
        guard isTLS else {
            tls = nil
            return
        }
        do {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            if let authorities { configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(authorities)) }
            tls = try NIOSSLContext(configuration: configuration)
        } catch {
            throw SecretSourceError("vault \(authority)", "its ca_file holds no certificates", remedy: "write PEM certificates to it")
        }
    }

    /// - Parameter token: goes into a header; never into the target.
    func send(_ method: String, _ target: String, token: SecretValue?, body: JSON?, source: String) async throws(SecretSourceError) -> (
        status: Int, body: [UInt8]
    ) {
        var head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: target)
        head.headers.add(name: "Host", value: authority.description)
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "Accept", value: "application/json")
        // Vault's own guard against requests that somebody was tricked into.
        head.headers.add(name: "X-Vault-Request", value: "true")
        if let namespace { head.headers.add(name: "X-Vault-Namespace", value: namespace) }
        if let token {
            guard let text = token.text, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw SecretSourceError(source, "the token is not printable ASCII", remedy: "write it as Vault gave it")
            }
            head.headers.add(name: "X-Vault-Token", value: text)
        }
        var bytes: [UInt8] = []
        if let body {
            body.write(to: &bytes)
            head.headers.add(name: "Content-Type", value: "application/json")
            head.headers.add(name: "Content-Length", value: "\(bytes.count)")
        }
        do {
            return try await perform(head, bytes)
        } catch let error as SecretSourceError {
            throw SecretSourceError(source, error.reason, remedy: error.remedy, isTemporary: error.isTemporary)
        } catch {
            let text = printable("\(error)")
            let isTrust = error is NIOSSLError || error is NIOSSLExtraError || text.contains("CERTIFICATE")
            // A connection that is closed in the middle of a handshake may hide why: the remedy names both.
            let reach = "check that it runs and that the worker may reach it" + (tls != nil ? ", then ca_file and the host name of the address" : "")
            throw SecretSourceError(
                source, isTrust ? "its TLS is refused: \(text)" : "Vault cannot be reached: \(text)",
                remedy: isTrust ? "check ca_file and the host name of the address" : reach,
                isTemporary: true)
        }
    }

    private func perform(_ head: HTTPRequestHead, _ body: [UInt8]) async throws -> (status: Int, body: [UInt8]) {
        let (tls, host) = (tls, authority.host)
        let name: String? = if case .name(let name) = host { name } else { nil }
        let channel = try await ClientBootstrap(group: group)
            .connectTimeout(Self.connectTime)
            .connect(host: host.description, port: Int(authority.port)) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name)) }
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(wrappingChannelSynchronously: channel)
                }
            }
        let timer = channel.channel.closing(after: Self.wholeTime)
        defer { timer.cancel() }
        return try await channel.executeThenClose { inbound, outbound in
            try await ServicePeer(host: host.description).check(channel.channel).get()
            try await outbound.write(.head(head))
            if !body.isEmpty { try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
            try await outbound.write(.end(nil))
            var status: Int?
            var answer: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let head): status = Int(head.status.code)
                case .body(let bytes):
                    guard answer.count + bytes.readableBytes <= Self.longestAnswer else {
                        throw SecretSourceError(
                            "", "the answer is longer than \(Self.longestAnswer) bytes", remedy: "check that the address is Vault's")
                    }
                    answer.append(contentsOf: bytes.readableBytesView)
                case .end:
                    guard let status else { break }
                    return (status, answer)
                }
            }
            throw SecretSourceError(
                "", "Vault gave no whole answer within \(Self.wholeTime.nanoseconds / 1_000_000_000) seconds", remedy: "it is asked again",
                isTemporary: true)
        }
    }
}
