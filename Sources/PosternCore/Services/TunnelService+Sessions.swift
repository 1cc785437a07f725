import ManagedAgentsAPI

/// Certificates of sessions, which call the MCP servers of their agents through tunnels.
extension TunnelService {
    /// The tunnel of the workspace with that domain, if it takes calls; nil for one that is archived, another workspace's or none at all.
    package func liveTunnel(domain: String, workspaceID: String) async throws(APIError) -> TunnelRecord? {
        let tunnel = try await stored { () async throws(StoreError) in try await store.tunnel(domain: domain) }
        guard let tunnel, tunnel.workspaceID == workspaceID, tunnel.archivedAt == nil else { return nil }
        return tunnel
    }

    /// PEM of the authorities that callers of the tunnel are to believe now.
    package func authorities(of tunnel: TunnelRecord) async throws(APIError) -> [String] {
        let time = time
        return try await registeredCertificates(tunnel).filter { $0.countsAt <= time }.map(\.certificate.pem)
    }

    /// What the tunnel's routes are called by on the way; `nil` where its setting says: by their names.
    package func routeKey(of tunnel: TunnelRecord) -> String? { tunnel.hidesRoutes ? credentials.routeKey(tunnelID: tunnel.id) : nil }

    /// A certificate that names a session and what runs in it.
    /// - Parameters:
    ///   - request: A certificate signing request (PEM), of which the key counts.
    ///   - life: From now on.
    package func issueCertificate(
        for session: RuntimeSession, person: String?, routes: [String], _ tunnel: TunnelRecord, request: String, life: Duration
    ) async throws(APIError) -> String {
        let authority = try await runtimeAuthority(workspaceID: tunnel.workspaceID)
        let time = time
        let client = RuntimeClient(
            tunnelID: tunnel.id, workspaceID: tunnel.workspaceID, person: person, client: nil, routes: routes, session: session)
        return try credentials.issue(
            client, request: request, by: authority, from: time.advanced(by: .zero - Self.skew), until: time.advanced(by: life))
    }
}
