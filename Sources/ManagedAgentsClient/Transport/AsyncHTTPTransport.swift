import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL
import PosternTLS

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The real transport: async-http-client over HTTP/1.1, one connection per exchange in flight, kept warm between exchanges.
/// `shutdown()` must be called once, last.
package struct AsyncHTTPTransport: ClientTransport {
    package struct Configuration: Sendable {
        package var baseURL: BaseURL
        /// PEM file of further certificate authorities, trusted besides the system's.
        package var caFile: String?
        /// Trust those of `caFile` alone.
        package var trustsSystem = true
        /// What this side proves itself with in the TLS handshake.
        package var clientCertificate: ClientCertificate?
        /// Where connections are really made to, whatever the base URL's name leads to; name and certificate stay those of the base URL.
        package var connectTo: Address?
        /// An HTTP proxy for `CONNECT`. Loopback is dialled directly.
        package private(set) var proxy: Proxy?
        package var connectTimeout: Duration = .seconds(5)
        /// Longest silence inside a body: keep-alives of a stream come well inside it (contract, section 1.5).
        package var readTimeout: Duration = .seconds(600)
        /// Connections to the service at once: a session's stream takes one for as long as it is served.
        package var maximumConnections = 4096
        /// Connections that are kept open beside those in use.
        package var warmConnections = 1
        /// Looks at each new connection, in its event loop, before a request is sent on it; one that fails is not used, and is to be closed.
        package var checkConnection: (@Sendable (any Channel) -> EventLoopFuture<Void>)?

        package init(baseURL: BaseURL, caFile: String? = nil, proxy: Proxy? = nil) {
            self.baseURL = baseURL
            self.caFile = caFile
            // Loopback is dialled directly.
            self.proxy = baseURL.isLoopback ? nil : proxy
        }

        /// The host to which connections are made.
        package var dialledHost: String { proxy?.host ?? connectTo?.host ?? baseURL.host }
    }

    /// A certificate with its chain, and its key: PEM files.
    package struct ClientCertificate: Sendable, Equatable {
        package var certificateFile: String
        package var keyFile: String

        package init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// A host, without brackets, and a port.
    package struct Address: Sendable, Equatable {
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    private let client: HTTPClient
    private let root: String
    /// The `Host` of requests where the URL that they are sent to has another port.
    private let host: String?

    package init(_ configuration: Configuration) throws(TransportError) {
        var settings = HTTPClient.Configuration(redirectConfiguration: .disallow)
        settings.timeout.connect = TimeAmount(configuration.connectTimeout)
        settings.timeout.read = TimeAmount(configuration.readTimeout)
        settings.httpVersion = .http1Only
        settings.connectionPool.idleTimeout = .seconds(90)
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.maximumConnections
        // The next exchange of a session finds an open connection even while its stream holds one.
        settings.connectionPool.preWarmedHTTP1ConnectionCount = configuration.warmConnections
        // A refused connection is the caller's to retry: its retry policy is the one that is documented.
        settings.connectionPool.retryConnectionEstablishment = false
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let file = configuration.caFile {
            do {
                let authorities = try NIOSSLCertificate.fromPEMFile(file)
                if configuration.trustsSystem {
                    tls.additionalTrustRoots = [.certificates(authorities)]
                } else {
                    tls.trustRoots = .certificates(authorities)
                }
            } catch {
                throw .refused("the CA file \(file) cannot be read as PEM certificates: \(error)")
            }
        }
        if let certificate = configuration.clientCertificate { try Self.add(certificate, to: &tls) }
        settings.tlsConfiguration = tls
        settings.http1_1ConnectionDebugInitializer = configuration.checkConnection
        if let proxy = configuration.proxy {
            settings.proxy = .server(
                host: proxy.host, port: proxy.port, authorization: proxy.credentials.map { .basic(username: $0.user, password: $0.password.value) })
        }
        var address = configuration.baseURL
        if let target = configuration.connectTo {
            settings.dnsOverride = [address.writtenHost: target.host]
            let standard = address.isTLS ? 443 : 80
            host = address.port == standard ? address.writtenHost : "\(address.writtenHost):\(address.port)"
            address.port = target.port
        } else {
            host = nil
        }
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
        root = address.description
    }

    private static func add(_ certificate: ClientCertificate, to tls: inout TLSConfiguration) throws(TransportError) {
        do {
            tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate.certificateFile).map { .certificate($0) }
        } catch {
            throw .refused("the client certificate \(certificate.certificateFile) cannot be read as PEM certificates: \(error)")
        }
        do {
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: certificate.keyFile, format: .pem))
        } catch {
            throw .refused("the client certificate's key \(certificate.keyFile) cannot be read as a PEM key: \(error)")
        }
    }

    package func send(_ request: ClientRequest) async throws(TransportError) -> ClientResponse {
        var outgoing = HTTPClientRequest(url: root + request.target)
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        for field in request.headers.fields { outgoing.headers.add(name: field.name, value: field.value) }
        if let host { outgoing.headers.replaceOrAdd(name: "Host", value: host) }
        if !request.body.isEmpty || request.method != .get { outgoing.body = .bytes(request.body) }
        do {
            let response = try await client.execute(outgoing, deadline: .now() + TimeAmount(request.timeout))
            let body = response.body.map { Array($0.readableBytesView) }
            return ClientResponse(
                status: Int(response.status.code), headers: ClientHeaders(response.headers.map { (name: $0.name, value: $0.value) }),
                body: ClientBody(body))
        } catch {
            throw Self.translate(error)
        }
    }

    package func shutdown() async {
        // It fails only when it was shut down before, which is what is wanted.
        try? await client.shutdown()
    }

    private static func translate(_ error: any Error) -> TransportError {
        if error is CancellationError || Task.isCancelled { return .cancelled }
        guard let error = error as? HTTPClientError else {
            return isOfTLS(error)
                ? translate(TLSFailure(text: "\(error)"), isBreak: isBreak(error)) : isBreak(error) ? .broken("\(error)") : .connection("\(error)")
        }
        switch error {
        case .cancelled: return .cancelled
        case .deadlineExceeded, .readTimeout, .writeTimeout, .connectTimeout, .tlsHandshakeTimeout, .httpProxyHandshakeTimeout,
            .getConnectionFromPoolTimeout:
            return .timeout(error.shortDescription)
        case .remoteConnectionClosed: return .broken(error.shortDescription)
        case .proxyAuthenticationRequired, .invalidProxyResponse: return .connection("proxy: \(error.shortDescription)")
        default: return .broken(error.shortDescription)
        }
    }
}

extension AsyncHTTPTransport {
    /// Whether a connection that stood has broken: the request may have been read then. What is not known counts as a connection that could not be made,
    /// which is what most of it is: names, addresses, handshakes, and what `checkConnection` refuses.
    private static func isBreak(_ error: any Error) -> Bool {
        switch error {
        case let error as IOError: [ECONNRESET, EPIPE, ECONNABORTED, ENOTCONN, ETIMEDOUT].contains(error.errnoCode)
        case let error as ChannelError:
            switch error {
            case .connectTimeout, .connectPending: false
            default: true
            }
        case let error as NIOSSLError:
            switch error {
            case .uncleanShutdown, .writeDuringTLSShutdown, .readInInvalidTLSState, .shutdownFailed: true
            default: false
            }
        case is BoringSSLError, is HTTPParserError: true
        default: false
        }
    }

    private static func isOfTLS(_ error: any Error) -> Bool { error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError }

    private static func translate(_ failure: TLSFailure, isBreak: Bool) -> TransportError {
        // In TLS 1.3 a client's certificate is judged after the client has finished its handshake, and may have sent its request: the alert says that
        // nobody has read that.
        if case .certificateRefused = failure {
            return .connection("the other side wants another client certificate than it was given, if any (\(failure))")
        }
        return isBreak ? .broken("TLS: \(failure)") : .connection("TLS: \(failure)")
    }
}

extension TimeAmount {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000)
    }
}
