import FoundationEssentials
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternConnector
import PosternJSON
import PosternTunnelWire

/// The work of `postern connector setup`, step by step, each of which finds what an earlier run has left.
struct ConnectorSetup {
    let folder: String
    let terminal: Terminal
    var edges: [String] = []
    var edgeName: String?
    /// Absolute.
    var edgeCAFile: String?
    var routes: [(name: String, upstream: String)] = []

    init(folder: String, terminal: Terminal) {
        self.folder = folder
        self.terminal = terminal
    }

    private struct Tunnel {
        var id: String
        var domain: String
    }

    private func path(_ name: String) -> String { "\(folder)/\(name)" }

    private func has(_ name: String) -> Bool { TextFile.exists(path(name)) }

    func run(tunnel id: String?, displayName: String?, client: ManagedAgentsClient) async throws {
        try TextFile.makeFolder(folder)
        let tunnel = try await tunnel(id, displayName, client)
        try makeConnectorKey()
        let authority = try makeAuthority(tunnel)
        let registrations = ConnectorRegistrations(folder: folder, terminal: terminal, tunnelID: tunnel.id)
        try await registrations.prepareOwnerKey(client)
        try await register(authority, tunnel, registrations, client)
        try await registrations.pinLogKey(client)
        try makeServerCertificate(tunnel, authority)
        let workspace = try await fetchRuntimeAuthority(client)
        try await fetchToken(tunnel, client)
        try writeDocument(tunnel, workspace, registrations)
        terminal.print("The connector of tunnel \(tunnel.id) (\(tunnel.domain)) is set up in \(folder).")
        terminal.print(
            "Next: name callers of each route in \(path("connector.yaml")), then run `postern connector run --config \(path("connector.yaml"))`.")
    }

    /// The tunnel that is named, the folder's, or a new one: in this order.
    private func tunnel(_ named: String?, _ displayName: String?, _ client: ManagedAgentsClient) async throws -> Tunnel {
        var known: String?
        if has("tunnel.json") { known = (try? JSON(parsing: Array(TextFile.read(path("tunnel.json")).utf8)))?["id"]?.string }
        if let named, let known, named != known {
            throw CommandError(.configuration, "\(folder) belongs to tunnel \(known), not to \(named): use another --folder")
        }
        let object: JSON
        if let id = named ?? known {
            object = try await client.request(.get, "/v1/tunnels/\(id)").json()
        } else {
            object = try await client.request(.post, "/v1/tunnels", body: .object(displayName.map { ["display_name": .string($0)] } ?? [:])).json()
        }
        guard let id = object["id"]?.string, ResourceID.isWellFormed(id, .tunnel), let domain = object["domain"]?.string.flatMap(HostName.canonical)
        else {
            throw CommandError(.failure, "the control plane's answer names no tunnel")
        }
        if let archived = object["archived_at"]?.string { throw CommandError(.failure, "tunnel \(id) was archived at \(archived): use another one") }
        try TextFile.writeSecret(
            String(decoding: JSON.object(["id": .string(id), "domain": .string(domain)]).encoded, as: UTF8.self), to: path("tunnel.json"))
        return Tunnel(id: id, domain: domain)
    }

    private func makeConnectorKey() throws {
        guard !has("connector.key") || !has("connector.pem") else { return }
        try write(ConnectorCertificates.connector(now: Date()), "connector")
    }

    private func makeAuthority(_ tunnel: Tunnel) throws -> String {
        if !has("ca.pem") { try write(ConnectorCertificates.authority(domain: tunnel.domain, now: Date()), "ca") }
        return try TextFile.read(path("ca.pem"))
    }

    /// The tunnel counts at most two authorities; one that is known already is not registered again.
    private func register(
        _ authority: String, _ tunnel: Tunnel, _ registrations: ConnectorRegistrations, _ client: ManagedAgentsClient
    ) async throws {
        let fingerprint = try ConnectorCertificates.fingerprint(certificatePEM: authority)
        let known = try await client.list("/v1/tunnels/\(tunnel.id)/certificates")
        guard !known.contains(where: { $0["fingerprint"]?.string == fingerprint && $0["archived_at"]?.string == nil }) else { return }
        let body = try await registrations.registration(of: authority, fingerprint: fingerprint, client)
        _ = try await client.request(.post, "/v1/tunnels/\(tunnel.id)/certificates", body: body)
        terminal.print("Registered the tunnel's CA \(fingerprint).")
        try await registrations.tellWait(fingerprint, client)
    }

    private func makeServerCertificate(_ tunnel: Tunnel, _ authority: String) throws {
        if has("server.pem"), has("server.key"),
            ConnectorCertificates.isGood(server: try TextFile.read(path("server.pem")), domain: tunnel.domain, authority: authority, now: Date())
        {
            return
        }
        guard has("ca.key") else {
            throw CommandError(
                .configuration, "\(path("ca.key")) is not here, and a server certificate has to be signed with it: bring it back for that")
        }
        let made = ConnectorCertificates.Made(keyPEM: try TextFile.read(path("ca.key")), certificatePEM: authority)
        try write(ConnectorCertificates.server(domain: tunnel.domain, authority: made, now: Date()), "server")
        terminal.print("Made a server certificate for *.\(tunnel.domain), valid for 90 days.")
    }

    /// The authority that runtimes' certificates are checked by. It is pinned: one that changes is not taken over silently.
    private func fetchRuntimeAuthority(_ client: ManagedAgentsClient) async throws -> String {
        let answer = try await client.request(.get, "/postern/v1/runtime_authority").json()
        guard let pem = answer["certificate_pem"]?.string,  // Both ids are written into the document, and are nothing but ids.
            let workspace = answer["workspace_id"]?.string, ResourceID.isWellFormed(workspace, .workspace)
        else {
            throw CommandError(.failure, "the control plane's answer holds no runtime authority of a workspace")
        }
        if has("runtime-ca.pem"), try TextFile.read(path("runtime-ca.pem")).trimmingSpaces != pem.trimmingSpaces {
            throw CommandError(
                .failure,
                "the control plane gives another runtime authority than the one in \(path("runtime-ca.pem")): find out why; remove the file to accept it"
            )
        }
        try TextFile.writeSecret(pem.trimmingSpaces, to: path("runtime-ca.pem"))
        return workspace
    }

    private func fetchToken(_ tunnel: Tunnel, _ client: ManagedAgentsClient) async throws {
        let answer = try await client.request(.post, "/v1/tunnels/\(tunnel.id)/reveal_token").json()
        guard let token = answer["tunnel_token"]?.string else { throw CommandError(.failure, "the control plane's answer holds no tunnel token") }
        try TextFile.writeSecret(token, to: path("tunnel.token"))
    }

    /// A document that is there is the operator's, and stays.
    private func writeDocument(_ tunnel: Tunnel, _ workspace: String, _ registrations: ConnectorRegistrations) throws {
        guard !has("connector.yaml") else { return }
        guard !edges.isEmpty else { throw ConfigurationError("--edge is needed to write \(path("connector.yaml"))") }
        guard !routes.isEmpty else { throw ConfigurationError("--route is needed to write \(path("connector.yaml"))") }
        let parent = TunnelHost(tunnel.domain)?.domain ?? tunnel.domain
        var text = """
            tunnel:
              id: \(tunnel.id)
              workspace_id: \(workspace)
              domain: \(tunnel.domain)
            edges:
              addresses: [\(edges.map { "\"\($0)\"" }.joined(separator: ", "))]
              name: \(edgeName ?? parent)

            """
        if let edgeCAFile { text += "  ca_file: \(quoted(edgeCAFile))\n" }
        text += """
            identity:
              key_file: connector.key
              certificate_file: connector.pem
              enrolment_token_file: tunnel.token
            server_certificate:
              certificate_file: server.pem
              key_file: server.key
            runtime_authority:
              certificate_file: runtime-ca.pem
            audit:
              file: audit.jsonl
            \(registrations.document)routes:

            """
        for route in routes {
            text += """
                  \(route.name):
                    upstream: \(quoted(route.upstream))
                    # Nobody may call it until somebody is named: {any: true}, or lists of clients, agents and sessions.
                    # callers: {clients: [name]}

                """
        }
        try TextFile.writeSecret(text, to: path("connector.yaml"))
    }

    private func quoted(_ text: String) -> String { String(decoding: JSON.string(text).encoded, as: UTF8.self) }

    private func write(_ made: ConnectorCertificates.Made, _ name: String) throws {
        // The key first: a certificate without its key would be taken for whole.
        try TextFile.writeSecret(made.keyPEM, to: path("\(name).key"))
        try TextFile.writeSecret(made.certificatePEM, to: path("\(name).pem"))
    }
}
