import Crypto
import FoundationEssentials
import NIOCore
import NIOSSL
import PosternTunnelWire
import SwiftASN1
import X509

/// The keys and certificates that a connector's document names, read and held against one another. Prints no key.
package struct ConnectorMaterial: Sendable, CustomStringConvertible, CustomReflectable {
    let connectorKey: NIOSSLPrivateKey
    /// The same, for challenges.
    let signer: P256.Signing.PrivateKey
    let connectorCertificate: NIOSSLCertificate
    /// What an edge knows the connector by.
    package let key: ConnectorKey
    let serverChain: [NIOSSLCertificate]
    let serverKey: NIOSSLPrivateKey
    package let serverExpires: Date
    /// The leaf of `serverChain`, and what it is told apart from others by.
    package let server: Certificate
    let serverFingerprint: String
    package let runtimeAuthority: Certificate
    package var runtimesExpire: Date { runtimeAuthority.notValidAfter }
    let edgeAuthorities: [NIOSSLCertificate]?
    let proxyAuthorities: [NIOSSLCertificate]?
    /// `user:password` for the corporate proxy.
    let proxySecret: String?
    package let token: String?
    let headers: [String: [HeaderInjection]]
    /// Variables of the servers that routes start.
    let childSecrets: [String: [ChildSecret]]
    /// By route; `nil` stands for the system's.
    let upstreamAuthorities: [String: [NIOSSLCertificate]]
    /// By route; what the connector shows to its upstream.
    let upstreamIdentities: [String: UpstreamIdentity]
    /// By route: the keys of issuers of tokens, from files.
    let keySets: [String: KeySet]
    /// By route: who vouches for the host that such keys are fetched from; `nil` stands for the system's.
    let keySetAuthorities: [String: [NIOSSLCertificate]]
    /// By what routes are called on the way, beside their names.
    let routeKey: RouteKey?
    /// Binds ids of sessions to callers. Connectors with the same key have the same one, also after a restart.
    let sessionKey: SymmetricKey

    struct UpstreamIdentity: Sendable {
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
    }

    /// What a route injects, for whoever asks its server as a call would.
    package func headerFields(of route: String) -> [(name: String, value: String)] {
        (headers[route] ?? []).map { ($0.name, String(decoding: $0.value, as: UTF8.self)) }
    }

    /// - Parameters:
    ///   - read: gives a file's text, a secret one's only where nobody but its owner can read it; `nil` where there is no such file.
    ///   - now: certificates have to be valid then.
    ///   - environment: the variables of the process.
    package init(
        _ configuration: ConnectorConfiguration, now: Date, environment: [String: String] = [:],
        read: (_ path: String, _ isSecret: Bool) throws -> String?
    ) throws {
        func text(_ path: String, _ isSecret: Bool) throws -> String {
            guard let text = try read(path, isSecret) else {
                throw ConnectorError("\(path) is not there; of the connector's own files `postern connector setup` makes what is missing")
            }
            return text
        }
        func pem(_ path: String, _ isSecret: Bool = false) throws -> [UInt8] { Array(try text(path, isSecret).utf8) }
        func certificates(_ path: String) throws -> [NIOSSLCertificate] {
            do {
                let list = try NIOSSLCertificate.fromPEMBytes(pem(path))
                guard !list.isEmpty else { throw ConnectorError("\(path) holds no certificate") }
                return list
            } catch is NIOSSLError {
                throw ConnectorError("\(path) holds no certificate in PEM")
            }
        }
        (signer, connectorCertificate, sessionKey) = try Self.connector(configuration.identity, pem: pem, certificates: certificates)
        connectorKey = try NIOSSLPrivateKey(bytes: Array(signer.derRepresentation), format: .der)
        key = ConnectorKey(signer.publicKey)
        (serverKey, serverChain, server) = try Self.server(configuration, now: now, pem: pem, certificates: certificates)
        serverExpires = server.notValidAfter
        serverFingerprint = ShownServers.fingerprint(of: server)
        let authorities = try certificates(configuration.runtimeAuthorityFile)
        guard authorities.count == 1 else { throw ConnectorError("\(configuration.runtimeAuthorityFile) must hold one certificate") }
        runtimeAuthority = try Certificate(derEncoded: authorities[0].toDERBytes())
        edgeAuthorities = try configuration.edges.caFile.map(certificates)
        proxyAuthorities = try configuration.edges.proxy?.caFile.map(certificates)
        proxySecret = try configuration.edges.proxy?.secretFile.map { path in
            let line = String(try text(path, true).prefix { !$0.isNewline })
            guard line.contains(":"), line.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
                throw ConnectorError("\(path) must hold user:password for the proxy on its first line")
            }
            return line
        }
        token = try configuration.identity.tokenFile.flatMap { path in
            // Needed to enrol only: it may be taken away after that.
            guard let text = try read(path, true) else { return nil }
            let line = text.prefix { !$0.isNewline }
            guard !line.isEmpty, line.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw ConnectorError("\(path) holds no tunnel token on its first line")
            }
            return String(line)
        }
        routeKey = try configuration.tunnel.routeKeyFile.map { path in
            guard let key = RouteKey(String(try text(path, true).prefix { !$0.isNewline })) else {
                throw ConnectorError("\(path) holds no route key on its first line; `postern connector setup` fetches it")
            }
            return key
        }
        var headers: [String: [HeaderInjection]] = [:]
        var upstream: [String: [NIOSSLCertificate]] = [:]
        var secrets: [String: [ChildSecret]] = [:]
        var identities: [String: UpstreamIdentity] = [:]
        var keySets: [String: KeySet] = [:]
        var keySetAuthorities: [String: [NIOSSLCertificate]] = [:]
        for (name, route) in configuration.routes {
            headers[name] = try route.headers.map { header in
                let value: String
                switch header.source {
                case .file(let path): value = String(try text(path, true).prefix { !$0.isNewline })
                case .environment(let variable):
                    guard let held = environment[variable], !held.isEmpty else {
                        throw ConnectorError(
                            "the variable \(variable), which the header \"\(header.name)\" of the route \"\(name)\" is injected from, is not set: "
                                + "set it where the connector is started")
                    }
                    value = held
                }
                return try HeaderInjection(name: header.name, value: value, isMasked: header.isMasked)
            }
            switch route.bearer?.keys {
            case .file(let path)?:
                let bytes = try pem(path)
                do throws(KeySet.Invalid) { keySets[name] = try KeySet(bytes) } catch {
                    throw ConnectorError("\(path): \(error)")
                }
            case .url(let url)?: keySetAuthorities[name] = try url.caFile.map(certificates)
            case nil: break
            }
            upstream[name] = try route.caFile.map(certificates)
            secrets[name] = try route.upstream.child?.secrets.map { secret in
                try ChildSecret(name: secret.name, value: String(try text(secret.file, true).prefix { !$0.isNewline }))
            }
            identities[name] = try route.clientCertificate.map { try Self.upstream($0, now: now, pem: pem, certificates: certificates) }
        }
        self.headers = headers
        childSecrets = secrets
        upstreamAuthorities = upstream
        upstreamIdentities = identities
        self.keySets = keySets
        self.keySetAuthorities = keySetAuthorities
    }

    private static func upstream(
        _ files: ConnectorConfiguration.ClientCertificate, now: Date, pem: (String, Bool) throws -> [UInt8],
        certificates: (String) throws -> [NIOSSLCertificate]
    ) throws -> UpstreamIdentity {
        let chain = try certificates(files.certificateFile)
        let leaf = try Certificate(derEncoded: chain[0].toDERBytes())
        guard leaf.notValidBefore <= now, now < leaf.notValidAfter else {
            throw ConnectorError("the certificate in \(files.certificateFile) is not valid now: ask for a new one where the upstream's come from")
        }
        let text = String(decoding: try pem(files.keyFile, true), as: UTF8.self)
        guard let key = try? Certificate.PrivateKey(pemEncoded: text) else { throw ConnectorError("\(files.keyFile) holds no private key in PEM") }
        guard key.publicKey == leaf.publicKey else {
            throw ConnectorError("the certificate in \(files.certificateFile) is not for the key in \(files.keyFile)")
        }
        return UpstreamIdentity(chain: chain, key: try NIOSSLPrivateKey(bytes: Array(text.utf8), format: .pem))
    }

    private static func connector(
        _ identity: ConnectorConfiguration.Identity, pem: (String, Bool) throws -> [UInt8], certificates: (String) throws -> [NIOSSLCertificate]
    ) throws -> (P256.Signing.PrivateKey, NIOSSLCertificate, SymmetricKey) {
        let text = String(decoding: try pem(identity.keyFile, true), as: UTF8.self)
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: text) else {
            throw ConnectorError("\(identity.keyFile) holds no private key on P-256 in PEM")
        }
        let leaf = try certificates(identity.certificateFile)[0]
        let parsed = try Certificate(derEncoded: leaf.toDERBytes())
        guard ConnectorKey(certificate: parsed) == ConnectorKey(key.publicKey) else {
            throw ConnectorError("the certificate in \(identity.certificateFile) is not for the key in \(identity.keyFile)")
        }
        let sessions = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: key.rawRepresentation), info: Array("postern connector: ids of sessions".utf8), outputByteCount: 32)
        return (key, leaf, sessions)
    }

    private static func server(
        _ configuration: ConnectorConfiguration, now: Date, pem: (String, Bool) throws -> [UInt8],
        certificates: (String) throws -> [NIOSSLCertificate]
    ) throws -> (NIOSSLPrivateKey, [NIOSSLCertificate], Certificate) {
        let (server, domain) = (configuration.server, configuration.tunnel.domain)
        let chain = try certificates(server.certificateFile)
        let leaf = try Certificate(derEncoded: chain[0].toDERBytes())
        guard leaf.notValidBefore <= now, now < leaf.notValidAfter else {
            throw ConnectorError("the certificate in \(server.certificateFile) is not valid now: run `postern connector renew`")
        }
        let names = try leaf.extensions.subjectAlternativeNames.map(Array.init) ?? []
        let covers = { (host: String) in names.contains { if case .dnsName(let name) = $0 { name.lowercased() == host } else { false } } }
        for route in configuration.routes.keys.sorted() where !covers("*.\(domain)") && !covers("\(route).\(domain)") {
            throw ConnectorError("the certificate in \(server.certificateFile) is neither for *.\(domain) nor for \(route).\(domain)")
        }
        // After the certificate: a renewal puts the new key beside the one in use before it changes the certificate.
        let keys = String(decoding: try pem(server.keyFile, true), as: UTF8.self)
        guard !ServerKeys.all(in: keys).isEmpty else { throw ConnectorError("\(server.keyFile) holds no private key in PEM") }
        guard let key = ServerKeys.key(for: leaf.publicKey, in: keys) else {
            throw ConnectorError("the certificate in \(server.certificateFile) is not for the key in \(server.keyFile)")
        }
        return (try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem), chain, leaf)
    }

    package var description: String { "ConnectorMaterial(\(key.fingerprint))" }
    package var customMirror: Mirror { Mirror(self, children: ["key": key.fingerprint]) }

    /// Towards edges: TLS 1.3, with the connector's key as client certificate.
    func outerTLS() throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv13
        tls.applicationProtocols = ["http/1.1"]
        tls.certificateChain = [.certificate(connectorCertificate)]
        tls.privateKey = .privateKey(connectorKey)
        tls.shutdownTimeout = .seconds(1)
        if let edgeAuthorities { tls.trustRoots = .certificates(edgeAuthorities) }
        return try NIOSSLContext(configuration: tls)
    }

    /// The way out of this network; `nil` where there is none to take.
    func proxy(_ edges: ConnectorConfiguration.Edges) throws -> CorporateProxy? {
        guard let proxy = edges.proxy else { return nil }
        guard proxy.isTLS else { return CorporateProxy(address: proxy.address, tls: nil, secret: proxySecret) }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        tls.applicationProtocols = ["http/1.1"]
        if let proxyAuthorities { tls.trustRoots = .certificates(proxyAuthorities) }
        return CorporateProxy(address: proxy.address, tls: try NIOSSLContext(configuration: tls), secret: proxySecret)
    }

    /// Towards runtimes: TLS 1.3 with HTTP/1.1, and a client certificate that the workspace's authority signed.
    /// - Parameter asksForCertificate: without it none is asked for, and nobody is known by the handshake.
    func innerTLS(asksForCertificate: Bool = true) throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: serverChain.map { .certificate($0) }, privateKey: .privateKey(serverKey))
        tls.minimumTLSVersion = .tlsv13
        tls.applicationProtocols = ["http/1.1"]
        guard asksForCertificate else {
            tls.certificateVerification = .none
            return try NIOSSLContext(configuration: tls)
        }
        tls.certificateVerification = .noHostnameVerification
        tls.trustRoots = .certificates([try NIOSSLCertificate(bytes: try Self.der(runtimeAuthority), format: .der)])
        tls.sendCANameList = true
        return try NIOSSLContext(configuration: tls)
    }

    /// Towards an upstream of `route` with `https`.
    func upstreamTLS(_ route: String) throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        tls.applicationProtocols = ["http/1.1"]
        if let authorities = upstreamAuthorities[route] { tls.trustRoots = .certificates(authorities) }
        if let identity = upstreamIdentities[route] {
            tls.certificateChain = identity.chain.map { .certificate($0) }
            tls.privateKey = .privateKey(identity.key)
        }
        return try NIOSSLContext(configuration: tls)
    }

    /// Towards the host of a route's key set.
    func keySetTLS(_ route: String) throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        tls.applicationProtocols = ["http/1.1"]
        if let authorities = keySetAuthorities[route] { tls.trustRoots = .certificates(authorities) }
        return try NIOSSLContext(configuration: tls)
    }

    private static func der(_ certificate: Certificate) throws -> [UInt8] { Array(try certificate.serializeAsPEM().derBytes) }
}
