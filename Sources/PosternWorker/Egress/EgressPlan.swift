import PosternEgress
import PosternPolicy
import PosternSandboxWire

/// What a policy's network asks of sandbox and proxy. A value without I/O.
struct EgressPlan: Sendable {
    let policy: Policy
    /// What no rule allows is read too, so every program must find its way to the proxy.
    var learns = false

    /// Sockets of the sandbox beside the proxy's own, and what the proxy serves on each.
    var listeners: [(socket: SandboxListener, serves: EgressCommand.Listener)] {
        var all: [(SandboxListener, EgressCommand.Listener)] = []
        if learns || policy.network.rules.contains(where: { $0.verdict == .allow }) {
            let serves: [EgressCommand.Listener] = [.datagramNames, .streamNames, .http, .https]
            all += zip(SandboxListener.transparent, serves).map { ($0, $1) }
        }
        return all + policy.forwards.map { (SandboxListener(.tcp, $0.listenPort), .forward($0.name)) }
    }

    /// Variables with which programs find the proxy and trust it, and the placeholders of secrets.
    func variables(token: ProxyToken, placeholders: [(name: String, value: String)]) -> [(name: String, value: String)] {
        let address = "127.0.0.1:\(SandboxPaths.listenerPort)"
        let http = "http://\(ProxyToken.user):\(token.text)@\(address)"
        var all: [(name: String, value: String)] = []
        // All of them by HTTP: programs that know no SOCKS, such as Python's httpx without an extra, fail at its very mention.
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] { all.append((name, http)) }
        for name in ["no_proxy", "NO_PROXY"] { all.append((name, "localhost,127.0.0.1,::1")) }
        // Each family of programs looks for its certificates under a name of its own.
        for name in [
            "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE", "PIP_CERT",
            "CARGO_HTTP_CAINFO", "DENO_CERT",
        ] { all.append((name, SandboxPaths.certificates)) }
        return all + placeholders
    }

    /// Secrets that some request may carry, or some forward needs.
    var secretsInUse: [PolicySecret] {
        let forwarded = policy.forwards.compactMap { forward in if case .postgres(let postgres) = forward.kind { postgres.secret } else { nil } }
        let proxy = policy.upstream.proxySecret
        return policy.secrets.filter { $0.binding != nil || forwarded.contains($0.name) || $0.name == proxy }
    }
}
