import AsyncHTTPClient
import Logging
import NIOCore
import NIOSSL
import PosternCore

/// Why a model provider cannot be set up.
package struct ModelConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    package var message: String

    package init(_ message: String) { self.message = message }
    package var description: String { message }
}

/// Which service answers model requests, and how it is reached. Holds a key and never shows it.
package struct ModelProviderConfiguration: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// The Anthropic Messages API.
        case anthropic
        /// OpenAI's Chat Completions, or a server compatible with it.
        case openai
    }

    package var kind: Kind
    package var baseURL: ModelBaseURL
    package var apiKey: ModelKey?
    /// PEM file of further certificate authorities, trusted beside the system's: a `ca_file` means the same everywhere.
    package var caFile: String?
    /// `http://host:port` of a proxy that understands `CONNECT`. Loopback is dialled directly.
    package var proxyURL: String?
    /// Longest silence of the service, in the middle of an answer or before it.
    package var idleTimeout: Duration
    package var thinking: ThinkingPolicy

    /// - Parameters:
    ///   - baseURL: nil is the service's public address.
    ///   - apiKey: nil sends none, for local models.
    package init(
        kind: Kind, baseURL: String? = nil, apiKey: String? = nil, caFile: String? = nil, proxyURL: String? = nil,
        idleTimeout: Duration = .seconds(300), thinking: ThinkingPolicy = .automatic
    ) throws(ModelConfigurationError) {
        self.kind = kind
        self.baseURL = try ModelBaseURL(baseURL ?? (kind == .anthropic ? "https://api.anthropic.com" : "https://api.openai.com/v1"))
        if let apiKey {
            guard let key = ModelKey(apiKey) else {
                throw ModelConfigurationError("the model's API key is empty or holds white space or characters that a header cannot carry")
            }
            self.apiKey = key
        }
        self.caFile = caFile
        self.proxyURL = proxyURL
        self.idleTimeout = idleTimeout
        self.thinking = thinking
    }

    /// The provider over a client that was made with ``httpClientConfiguration()``. The client stays its owner's to shut down.
    package func makeProvider(client: HTTPClient, logger: Logger) -> any ModelProvider {
        switch kind {
        case .anthropic: AnthropicProvider(configuration: self, client: client, logger: logger)
        case .openai: OpenAIProvider(configuration: self, client: client, logger: logger)
        }
    }

    /// Settings of the HTTP client that the providers rely on: 10 s to connect, ``idleTimeout`` between reads, no redirects (they would carry
    /// the key elsewhere), HTTP/1.1 (a cancelled request closes its connection), the trust roots and the proxy.
    package func httpClientConfiguration() throws(ModelConfigurationError) -> HTTPClient.Configuration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let caFile {
            guard let authorities = try? NIOSSLCertificate.fromPEMFile(caFile), !authorities.isEmpty else {
                throw ModelConfigurationError("the CA file \(caFile) cannot be read as PEM certificates: it must hold at least one")
            }
            tls.additionalTrustRoots = [.certificates(authorities)]
        }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(10), read: TimeAmount(idleTimeout)))
        configuration.httpVersion = .http1Only
        // Every session may have a request in flight; the default would queue them behind eight.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 4096
        // A refused connection is told at once; the engine decides when to try again.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.idleTimeout = .seconds(30)
        if let proxyURL, !baseURL.isLoopback { configuration.proxy = try Self.proxy(proxyURL) }
        return configuration
    }

    private static func proxy(_ source: String) throws(ModelConfigurationError) -> HTTPClient.Configuration.Proxy {
        let refusal = ModelConfigurationError("the proxy URL is refused; expected http://host:port")
        guard source.lowercased().hasPrefix("http://") else { throw refusal }
        var rest = source[...].dropFirst(7)
        while rest.last == "/" { rest.removeLast() }
        var authorization: HTTPClient.Authorization?
        if let at = rest.lastIndex(of: "@") {
            let user = rest[..<at].split(separator: ":", maxSplits: 1).map(String.init)
            authorization = .basic(username: user.first ?? "", password: user.count > 1 ? user[1] : "")
            rest = rest[rest.index(after: at)...]
        }
        guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]), port > 0, colon > rest.startIndex else {
            throw refusal
        }
        var host = rest[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains("/") else { throw refusal }
        return .server(host: String(host), port: Int(port), authorization: authorization)
    }
}
