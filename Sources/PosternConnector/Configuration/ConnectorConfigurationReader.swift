import Crypto
import PosternHTTP
import PosternPolicy
import PosternTLS
import PosternTunnelWire

extension ConnectorConfiguration {
    /// Reads the text of `connector.yaml`. Throws every problem with its line and column; unknown keys are problems.
    /// - Parameters:
    ///   - file: its name, for places.
    ///   - hostName: of this machine, where the document gives the connector no name.
    package init(text: String, file: String, hostName: String) throws(PolicyProblems) {
        let root = try PolicyText.read(text, file: file)
        var reader = ConnectorConfigurationReader()
        self = reader.read(root, hostName: hostName)
        digest = "sha256:" + Hexadecimal.text(SHA256.hash(data: Array(text.utf8)))
        guard reader.document.problems.isEmpty else { throw PolicyProblems(reader.document.problems) }
    }
}

/// Holds the document's keys, once each.
private struct ConnectorConfigurationReader {
    var document = DocumentReader()
    /// Whether there is a log.
    private var isAudited = false

    mutating func read(_ root: PolicyNode, hostName: String) -> ConnectorConfiguration {
        let map = document.map(
            root, PolicyPath(),
            known: [
                "tunnel", "edges", "legs", "name", "identity", "server_certificate", "runtime_authority", "audit", "budgets", "registrations",
                "routes",
            ])
        let identity = document.required(
            map, map: "identity", known: ["key_file", "certificate_file", "enrolment_token_file", "known_keys"],
            "`postern connector setup` makes the files")
        let server = document.required(
            map, map: "server_certificate", known: ["certificate_file", "key_file"], "`postern connector setup` makes the files")
        let authority = document.required(
            map, map: "runtime_authority", known: ["certificate_file"], "`postern connector setup` fetches it")
        let budgets = map["budgets"].map { document.map($0, PolicyPath(keys: "budgets"), known: ["file"]) }
        isAudited = map["audit"] != nil
        let audit = map["audit"].map { document.map($0, PolicyPath(keys: "audit"), known: ["file"]) }
        return ConnectorConfiguration(
            tunnel: tunnel(map), edges: edges(map), legs: document.number(map, "legs", in: ConnectorConfiguration.legs) ?? 4,
            name: name(map, hostName),
            identity: .init(
                keyFile: document.required(identity, "key_file", "name the connector's key, in PEM"),
                certificateFile: document.required(identity, "certificate_file", "name the certificate of the connector's key, in PEM"),
                tokenFile: document.text(identity, "enrolment_token_file"), knownKeys: document.fingerprints(identity, "known_keys")),
            server: .init(
                certificateFile: document.required(server, "certificate_file", "name the certificate for *.DOMAIN, in PEM"),
                keyFile: document.required(server, "key_file", "name its key, in PEM")),
            runtimeAuthorityFile: document.required(authority, "certificate_file", "name the workspace's runtime authority, in PEM"),
            auditFile: audit.map { document.required($0, "file", "name the log's file") },
            budgetsFile: budgets.map { document.required($0, "file", "name the file that keeps the counts") },
            registrations: map["registrations"].map { document.registrations($0, PolicyPath(keys: "registrations")) }, routes: routes(map))
    }

    private mutating func tunnel(_ map: DocumentReader.Mapping) -> ConnectorConfiguration.Tunnel {
        let tunnel = document.required(
            map, map: "tunnel", known: ["id", "workspace_id", "domain", "route_key_file"],
            "name the tunnel's id, workspace_id and domain")
        let domain = document.required(tunnel, "domain", "write the tunnel's domain, such as ab12cd34.tunnel.example.com")
        if !domain.isEmpty, HostName.canonical(domain) != domain, let node = tunnel["domain"] {
            document.add(node.place, tunnel.path.key("domain"), value: domain, "must be a host name in lower case")
        }
        return .init(
            id: document.required(tunnel, "id", "write the tunnel's id, tnl_…"),
            workspaceID: document.required(tunnel, "workspace_id", "write the tunnel's workspace, wrkspc_…"), domain: domain,
            routeKeyFile: document.text(tunnel, "route_key_file"))
    }

    private mutating func edges(_ map: DocumentReader.Mapping) -> ConnectorConfiguration.Edges {
        let edges = document.required(
            map, map: "edges", known: ["addresses", "name", "ca_file", "proxy", "proof"], "name the edges' addresses and their name")
        let addresses = document.list(edges, "addresses") { (text) throws(PolicyValueError) in try Authority(text, defaultPort: 443) }
        if edges.isMap, addresses?.isEmpty != false {
            document.add(edges.node.place, edges.path.key("addresses"), "is missing", "list at least one address, such as edge.example.com:443")
        }
        let name = document.required(edges, "name", "write the name in the edges' certificate")
        if !name.isEmpty, HostName.canonical(name) != name, let node = edges["name"] {
            document.add(node.place, edges.path.key("name"), value: name, "must be a host name in lower case")
        }
        return .init(
            addresses: addresses ?? [], name: name, caFile: document.text(edges, "ca_file"),
            proxy: edges["proxy"].flatMap { proxy($0, edges.path.key("proxy")) },
            proof: document.choice(edges, "proof", ConnectorConfiguration.Edges.Proof.self) ?? .certificate)
    }

    /// `http://host:port` or `https://host:port`: credentials are in a file of their own.
    private mutating func proxy(_ node: PolicyNode, _ path: PolicyPath) -> ConnectorConfiguration.Proxy? {
        let proxy = document.map(node, path, known: ["url", "secret_file", "ca_file"])
        let text = document.required(proxy, "url", "write the proxy's URL, such as http://proxy.example.com:3128")
        guard !text.isEmpty, let place = proxy["url"] else { return nil }
        let isTLS = text.hasPrefix("https://")
        guard isTLS || text.hasPrefix("http://") else {
            // A URL of another kind may hold a password all the same: it is not repeated.
            document.add(place.place, path.key("url"), "must be a proxy's URL", "write http://host:port")
            return nil
        }
        if proxy["ca_file"] != nil, !isTLS {
            document.add(node.place, path.key("ca_file"), "needs a proxy with https", "leave it out, or write https://")
        }
        var authority = text.dropFirst(isTLS ? 8 : 7)
        if authority.hasSuffix("/") { authority = authority.dropLast() }
        guard !authority.contains("@") else {
            document.add(
                place.place, path.key("url"), "must hold no user name and no password", "put user:password into the file that secret_file names")
            return nil
        }
        do throws(PolicyValueError) {
            return .init(
                isTLS: isTLS, address: try Authority(String(authority)), secretFile: document.text(proxy, "secret_file"),
                caFile: document.text(proxy, "ca_file"))
        } catch {
            document.add(place.place, path.key("url"), value: text, error.rule, "write \(isTLS ? "https" : "http")://host:port")
            return nil
        }
    }

    private mutating func name(_ map: DocumentReader.Mapping, _ hostName: String) -> String {
        guard let name = document.text(map, "name") else {
            let plain = hostName.lowercased().filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".") }.prefix(64)
            return plain.isEmpty ? "connector" : String(plain)
        }
        let isPlain = name.utf8.count <= 64 && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
        if !isPlain, let node = map["name"] {
            document.add(node.place, map.path.key("name"), value: name, "must be at most 64 letters, digits, '-', '_' and dots")
        }
        return name
    }

    // MARK: Routes

    private mutating func routes(_ map: DocumentReader.Mapping) -> [String: ConnectorConfiguration.Route] {
        guard let node = map["routes"] else {
            if map.isMap { document.add(map.node.place, map.path.key("routes"), "is missing", "name at least one route") }
            return [:]
        }
        let path = map.path.key("routes")
        guard let members = node.members else {
            document.add(node.place, path, "must be a mapping of names to routes, not \(node.kind)")
            return [:]
        }
        guard (1...ConnectorConfiguration.mostRoutes).contains(members.count) else {
            document.add(node.place, path, "must hold 1 to \(ConnectorConfiguration.mostRoutes) routes")
            return [:]
        }
        var routes: [String: ConnectorConfiguration.Route] = [:]
        for member in members {
            guard TunnelHost.isRoute(member.key) else {
                document.add(
                    member.keyPlace, path.key(member.key), value: member.key, "must be one label of a host name: a-z, 0-9 and '-', without dots")
                continue
            }
            routes[member.key] = route(member.value, path.key(member.key))
        }
        return routes
    }

    private mutating func route(_ node: PolicyNode, _ path: PolicyPath) -> ConnectorConfiguration.Route {
        let route = document.map(
            node, path,
            known: [
                "upstream", "callers", "addresses", "host", "headers", "ca_file", "client_certificate", "policy", "limits", "answers", "client_auth",
                "bearer", "audit",
            ] + RouteUpstreamReader.commandKeys)
        let upstream = document.upstream(route)
        let ranges = document.list(route, "addresses") { (text) throws(PolicyValueError) in try AddressRange(text) }
        let host = document.choice(route, "host", ConnectorConfiguration.HostRule.self) ?? .rewrite
        let clientCertificate = clientCertificate(route, upstream)
        var output = ConnectorConfiguration.Route(
            upstream: upstream, callers: document.callers(route), addresses: ranges.map { UpstreamAddresses(allowed: $0) } ?? UpstreamAddresses(),
            host: host,
            headers: headers(route), caFile: document.text(route, "ca_file"), policy: route["policy"].map { document.policy($0, path.key("policy")) })
        output.clientCertificate = clientCertificate
        output.limits = document.limits(route)
        output.answers = document.answers(route)
        output.bearer = document.bearer(route)
        output.audit = document.audit(route, isRead: output.policy != nil, isKept: isAudited)
        return output
    }

    /// What the connector shows to an upstream with `https`.
    private mutating func clientCertificate(
        _ route: DocumentReader.Mapping, _ upstream: RouteUpstream
    ) -> ConnectorConfiguration.ClientCertificate? {
        guard let node = route["client_certificate"] else { return nil }
        let path = route.path.key("client_certificate")
        let map = document.map(node, path, known: ["certificate_file", "key_file"])
        if !upstream.isTLS { document.add(node.place, path, "needs an upstream with https", "leave it out, or write https://") }
        return .init(
            certificateFile: document.required(map, "certificate_file", "name the certificate that the upstream knows, in PEM"),
            keyFile: document.required(map, "key_file", "name its key, in PEM"))
    }

    private mutating func headers(_ route: DocumentReader.Mapping) -> [ConnectorConfiguration.Header] {
        guard let node = route["headers"] else { return [] }
        let path = route.path.key("headers")
        guard let members = node.members else {
            document.add(node.place, path, "must be a mapping of names to files or variables, not \(node.kind)")
            return []
        }
        var headers: [ConnectorConfiguration.Header] = []
        for member in members {
            let map = document.map(member.value, path.key(member.key), known: ["file", "from_environment", "mask"])
            if let problem = HeaderInjection.problem(withName: member.key) {
                document.add(member.keyPlace, path.key(member.key), value: member.key, problem)
            }
            guard let source = source(map) else { continue }
            headers.append(.init(name: member.key, source, isMasked: document.flag(map, "mask") ?? true))
        }
        return headers
    }

    /// Where the value of an injected header is: never in the document.
    private mutating func source(_ header: DocumentReader.Mapping) -> ConnectorConfiguration.Header.Source? {
        guard header["from_environment"] != nil else {
            return .file(document.required(header, "file", "name the file that holds the value on its first line, or write from_environment"))
        }
        guard let name = document.text(header, "from_environment"), let node = header["from_environment"] else { return nil }
        if let file = header["file"] { document.add(file.place, header.path.key("file"), "stands beside from_environment", "keep one of both") }
        // Postern's own variables hold its own credentials.
        do throws(PolicyValueError) { try VariableName.check(name) } catch {
            document.add(node.place, header.path.key("from_environment"), value: name, error.rule, error.remedy)
        }
        return .environment(name)
    }
}
