import ManagedAgentsClient

/// What OAuth asks of URLs: who is at the other end, what is equal, and where metadata lies.
extension MCPEndpoint {
    /// Scheme, host in lower case and port, unless it is the scheme's own (RFC 6454, section 6.2).
    var origin: String {
        let own = base.isTLS ? 443 : 80
        return "\(base.isTLS ? "https" : "http")://\(base.writtenHost)\(base.port == own ? "" : ":\(base.port)")"
    }

    /// Path without the query; empty for the root, with which an empty path is one (RFC 3986, section 6.2.3).
    var path: String {
        let path = String(target.prefix { $0 != "?" })
        return path == "/" ? "" : path
    }

    var query: String { String(target.drop { $0 != "?" }) }

    /// One spelling for one URL. Paths are compared as they are written: servers tell more of them apart than a normaliser does.
    var canonical: String { origin + path + query }

    /// For messages: queries may hold a secret.
    var withoutQuery: String { origin + path }

    /// Whether a resource of this name holds `server`: of the same origin, and its path is the server's or above it (RFC 9728, section 3.3, as
    /// draft-mcguinness-oauth-rfc9728bis has it and MCP's SDKs do: servers call themselves by their origin as well as by their endpoint).
    func holds(_ server: MCPEndpoint) -> Bool {
        guard origin == server.origin else { return false }
        if !query.isEmpty { return canonical == server.canonical }
        let above = path.hasSuffix("/") ? path : path + "/"
        return path == server.path || server.path.hasPrefix(above)
    }

    /// Where a server that names no metadata has it (RFC 9728, section 3.1, which keeps path and query; MCP 2025-11-25, "Protected Resource Metadata
    /// Discovery Requirements").
    var resourceMetadataPlaces: [MCPEndpoint] {
        let own = path + query
        return (own.isEmpty ? [Self.resourcePlace] : [Self.resourcePlace + own, Self.resourcePlace]).map(at)
    }

    private static let resourcePlace = "/.well-known/oauth-protected-resource"

    /// Whether this is one of the places that a host keeps for metadata (RFC 8615), and by no spelling another one.
    var isResourceMetadataPlace: Bool {
        guard path == Self.resourcePlace || path.hasPrefix(Self.resourcePlace + "/") else { return false }
        return !path.contains("..") && !path.lowercased().contains("%2e")
    }

    /// Where an issuer has its metadata, first come first (RFC 8414, section 3.1 and 5; MCP 2025-11-25, "Authorization Server Metadata Discovery").
    var issuerMetadataPlaces: [MCPEndpoint] {
        let (oauth, openID) = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
        guard !path.isEmpty else { return [oauth, openID].map(at) }
        // RFC 8414: a slash at the end is taken off before the insertion.
        let path = path.hasSuffix("/") ? String(path.dropLast()) : path
        return [oauth + path, openID + path, path + openID].map(at)
    }

    private func at(_ target: String) -> MCPEndpoint { MCPEndpoint(base: base, target: target) }

    /// A URL that somebody else has written, to be compared or refused, not to be dialled.
    static func foreign(_ text: String) -> MCPEndpoint? { try? MCPEndpoint(text, allowsPlainHTTP: true) }
}
