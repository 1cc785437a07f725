import Crypto
import NIOCore
import NIOSSL
import PosternGate
import PosternTunnelWire

/// What one reading of the document and its files says, ready for calls. It does not change: a call keeps the one that it began with. A class, because
/// every call takes it several times, and a value would count each of its many parts anew.
final class ConnectorSnapshot: Sendable {
    /// From 1, one more with each reading that was taken.
    let number: Int
    let configuration: ConnectorConfiguration
    let material: ConnectorMaterial
    let inner: NIOSSLContext
    /// For routes that ask for no certificate.
    let open: NIOSSLContext
    let routes: [String: RouteRuntime]
    /// Names of routes by their ids.
    private let names: [String: String]

    /// - Parameters:
    ///   - previous: what was in force until now: what is counted and seen of a route goes on where it still means the same.
    ///   - children: makes what serves a route with a command; `nil` where nothing can start one.
    init(
        _ configuration: ConnectorConfiguration, _ material: ConnectorMaterial, after previous: ConnectorSnapshot?,
        resolve: @escaping ConnectorResolver,
        group: any EventLoopGroup, children: ((String, ChildSettings, [ChildSecret]) -> ChildRoute)?,
        observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) throws {
        number = (previous?.number ?? 0) + 1
        self.configuration = configuration
        self.material = material
        inner = try material.innerTLS()
        open = try material.innerTLS(asksForCertificate: false)
        var routes: [String: RouteRuntime] = [:]
        for (name, route) in configuration.routes {
            var dialer = UpstreamDialer(
                route: route, tls: route.upstream.isTLS ? try material.upstreamTLS(name) : nil, resolve: resolve, group: group,
                time: route.limits.connect)
            if let settings = route.upstream.child {
                let secrets = material.childSecrets[name] ?? []
                let before = previous?.routes[name]?.dialer.children
                // Servers of the same command with the same secrets keep their sessions.
                dialer.children = before?.serves(settings, secrets) == true ? before : children?(name, settings, secrets)
            }
            routes[name] = try RouteRuntime(
                name: name, route: route, headers: material.headers[name] ?? [], childSecrets: material.childSecrets[name] ?? [], dialer: dialer,
                sessionKey: material.sessionKey,
                bearer: try Self.bearer(name, route, material, after: previous?.routes[name], resolve: resolve, group: group, observe: observe),
                after: previous?.routes[name])
        }
        self.routes = routes
        names = material.routeKey.map { key in Dictionary(uniqueKeysWithValues: routes.keys.map { (key.id(of: $0), $0) }) } ?? [:]
    }

    /// The route that a label of a host stands for: by its name, or by its id where the tunnel has a route key; `nil` for none of these.
    func route(of label: String) -> String? { routes[label] != nil ? label : names[label] }

    /// Whether a certificate opens that route, which it may name by its id as well.
    func opens(_ identity: RuntimeIdentity, _ route: String) -> Bool {
        identity.opens(route: route) || identity.routes.contains { names[$0] == route }
    }

    private static func bearer(
        _ name: String, _ route: ConnectorConfiguration.Route, _ material: ConnectorMaterial, after previous: RouteRuntime?,
        resolve: @escaping ConnectorResolver, group: any EventLoopGroup, observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) throws -> BearerVerifier? {
        guard let settings = route.bearer else { return nil }
        switch settings.keys {
        case .file(let path):
            guard let set = material.keySets[name] else { throw ConnectorError("\(path) was not read") }
            return BearerVerifier(settings: settings, keys: .fixed(set))
        case .url(let url):
            let authorities = material.keySetAuthorities[name]
            // What is known of the same keys goes on.
            if case .source(let source)? = previous?.bearer?.keys, source.url == url, source.authorities == authorities {
                return BearerVerifier(settings: settings, keys: .source(source))
            }
            let target = ConnectorConfiguration.Route(
                upstream: .network(isTLS: true, url.authority), callers: Callers(), addresses: url.addresses, host: .rewrite, headers: [])
            let fetch = KeySetFetch(
                url: url,
                dialer: UpstreamDialer(
                    route: target, tls: try material.keySetTLS(name), resolve: resolve, group: group, time: RouteLimits().connect),
                time: .seconds(10))
            let source = KeySetSource(
                url, authorities: authorities, loop: group.any(), observe: { observe(.tokenKeys(route: name, problem: $0?.description)) },
                fetch: { await fetch.run() })
            return BearerVerifier(settings: settings, keys: .source(source))
        }
    }

    /// Those that ask for the keys of issuers.
    var keySets: [KeySetSource] {
        routes.values.compactMap { if case .source(let source)? = $0.bearer?.keys { source } else { nil } }
    }

    /// Of the routes with a command.
    var children: [ChildRoute] { routes.values.compactMap(\.dialer.children) }
}

/// One route, ready for calls. A class for the same reason as the snapshot.
final class RouteRuntime: Sendable {
    let route: ConnectorConfiguration.Route
    /// What stands behind it, for people.
    let upstream: String
    let headers: [HeaderInjection]
    let dialer: UpstreamDialer
    /// `nil` where the route has no policy.
    let routeGuard: RouteGuard?
    /// What is looked for in answers; `nil`: nothing.
    let redaction: RedactionProgram?
    /// What payloads in the audit log go through; `nil` where the route keeps none.
    let payloads: PayloadRules?
    let sessions: SessionTags
    let slots: RouteSlots
    /// How callers prove who they are; `nil`: by certificates.
    let bearer: BearerVerifier?

    init(
        name: String, route: ConnectorConfiguration.Route, headers: [HeaderInjection], childSecrets: [ChildSecret], dialer: UpstreamDialer,
        sessionKey: SymmetricKey, bearer: BearerVerifier?, after previous: RouteRuntime?
    ) throws {
        self.route = route
        upstream = route.upstream.description
        self.headers = headers
        self.dialer = dialer
        self.bearer = bearer
        // What was seen of tools belongs to one upstream, what was counted to one policy.
        let former = previous.flatMap { $0.route.upstream == route.upstream ? $0 : nil }
        routeGuard = former?.route.policy == route.policy ? former?.routeGuard : route.policy.map { RouteGuard($0, after: former?.routeGuard) }
        sessions = SessionTags(key: sessionKey, route: name, events: previous?.sessions.events ?? EventMemory())
        slots = previous?.slots ?? RouteSlots()
        let secrets = headers.flatMap(\.secrets)
        let hashKey = HKDF<SHA256>.deriveKey(inputKeyMaterial: sessionKey, info: Array("redaction".utf8), outputByteCount: 32)
            .withUnsafeBytes { Array($0) }
        if secrets.isEmpty, route.answers.redact.isEmpty {
            redaction = nil
        } else {
            redaction = try RedactionProgram(RedactionRules(detectors: route.answers.redact), secrets: secrets, hashKey: hashKey)
        }
        if route.audit.arguments || route.audit.results {
            if let secret = childSecrets.first(where: { $0.known == nil }) {
                throw ConnectorError(
                    "routes.\(name).audit.payloads: the value of \(secret.name) has less than \(KnownSecret.leastBytes) bytes, or too many, and could not "
                        + "be masked in payloads: leave them out, or make it another one")
            }
            payloads = try PayloadRules(route.answers, secrets: secrets + childSecrets.compactMap(\.known), hashKey: hashKey)
        } else {
            payloads = nil
        }
    }
}
