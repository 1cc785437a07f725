import FoundationEssentials
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternConnector
import PosternJSON
import PosternTLS
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
    var source = ServerSource.made

    /// Where the server certificate comes from.
    enum ServerSource {
        /// The tunnel's own CA, which is made here.
        case made
        /// An authority of the customer's own that is to be asked: key and signing request are made.
        case requested
        /// That authority, which has answered. Paths of the certificate and of the authority's.
        case given(certificate: String, authority: String)
    }

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
        let lock = try FolderLock(folder)
        defer { lock.release() }
        let tunnel = try await tunnel(id, displayName, client)
        try makeConnectorKey()
        let registrations = ConnectorRegistrations(folder: folder, terminal: terminal, tunnelID: tunnel.id)
        try await registrations.prepareOwnerKey(client)
        switch source {
        case .made:
            let authority = try makeAuthority(tunnel)
            try await register(authority, tunnel, registrations, client)
            try makeServerCertificate(tunnel, authority)
        case .requested: try requestCertificate(tunnel)
        case .given(let certificate, let authority): try await takeCertificate(certificate, authority, tunnel, registrations, client)
        }
        try await registrations.pinLogKey(client)
        let workspace = try await fetchRuntimeAuthority(client)
        try await fetchToken(tunnel, client)
        let names = ConnectorRouteNames(folder: folder, terminal: terminal, tunnelID: tunnel.id)
        try await names.fetchKey(client)
        try writeDocument(tunnel, workspace, registrations)
        let document = path("connector.yaml")
        if case .requested = source {
            terminal.print("The request for the server certificate of tunnel \(tunnel.id) (\(tunnel.domain)) is \(path("server.csr")).")
            terminal.print(
                "Next: have it signed by your CA, directly, for *.\(tunnel.domain) and for servers; then run this again with --server-certificate FILE "
                    + "--server-ca FILE.")
            return
        }
        terminal.print("The connector of tunnel \(tunnel.id) (\(tunnel.domain)) is set up in \(folder).")
        try await names.tell(client)
        terminal.print("Next: name callers of each route in \(document), then run `postern connector run --config \(document)`.")
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
            // Its only connectors get the route key from here on.
            var body: JSONObject = ["hide_routes": true]
            if let displayName { body["display_name"] = .string(displayName) }
            do throws(ClientError) {
                object = try await client.request(.post, "/v1/tunnels", body: .object(body)).json()
            } catch {
                // A control plane that is older than the setting refuses the field, and has made nothing.
                guard case .api(let failure) = error, failure.error.status == 400, failure.error.message.hasPrefix("hide_routes:") else {
                    throw error
                }
                body["hide_routes"] = nil
                object = try await client.request(.post, "/v1/tunnels", body: .object(body)).json()
            }
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
        if !has("ca.pem"), has("server.csr") {
            throw CommandError(
                .configuration,
                "\(path("server.csr")) waits for its certificate: give --server-certificate and --server-ca, or remove it to have a CA made here")
        }
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
        let standing: ServerStanding
        do throws(CertificateRuleError) {
            standing = ServerStanding(
                certificate: try? text("server.pem"), keys: try? text("server.key"), hosts: ServerStanding.hosts(routes: [], domain: tunnel.domain),
                authority: try AuthorityRules.check(pem: authority, now: Date()), now: Date(), before: ConnectorCertificates.renewBefore)
        } catch {
            throw CommandError(.configuration, "\(path("ca.pem")): \(error)")
        }
        guard let problem = standing.problem else { return }
        guard has("ca.key") else {
            throw CommandError(
                .configuration,
                "the server certificate is to be made anew (\(problem)), and \(path("ca.key")) is not here: bring it back for that; where the "
                    + "certificate is from your own PKI, begin with `postern connector setup --csr`")
        }
        let issuer = ConnectorCertificates.Made(keyPEM: try TextFile.read(path("ca.key")), certificatePEM: authority)
        try serverFiles.replace(by: ConnectorCertificates.server(domain: tunnel.domain, authority: issuer, now: Date()))
        terminal.print("Made a server certificate for *.\(tunnel.domain), valid for 90 days.")
    }

    private var serverFiles: ServerFiles { ServerFiles(certificate: path("server.pem"), key: path("server.key")) }

    private func text(_ name: String) throws(CommandError) -> String? { has(name) ? try TextFile.read(path(name)) : nil }

    // MARK: From the customer's own PKI

    /// The key waits beside the one in use until its certificate is there.
    private func requestCertificate(_ tunnel: Tunnel) throws {
        try refuseOwnAuthority()
        let made = try ServerSigningRequest(domain: tunnel.domain, keyPEM: text("server.csr.key"))
        try TextFile.writeSecret(made.keyPEM.trimmingSpaces, to: path("server.csr.key"))
        try TextFile.writeSecret(made.pem, to: path("server.csr"))
    }

    /// The authority is registered before anything is signed by it that callers get to see.
    private func takeCertificate(
        _ certificate: String, _ authority: String, _ tunnel: Tunnel, _ registrations: ConnectorRegistrations, _ client: ManagedAgentsClient
    ) async throws {
        try refuseOwnAuthority()
        let given: GivenServer
        do {
            let named = has("connector.yaml") ? try ConnectorFiles.configuration(at: path("connector.yaml")).routes.keys.sorted() : routes.map(\.name)
            given = try GivenServer(
                certificate: TextFile.read(certificate), authority: TextFile.read(authority),
                keys: [text("server.csr.key"), text("server.key")].compactMap { $0 },
                hosts: ServerStanding.hosts(routes: named, domain: tunnel.domain), now: Date())
        } catch let error as ConnectorError {
            throw CommandError(.configuration, error.description)
        }
        try await register(given.authorityPEM, tunnel, registrations, client)
        try TextFile.writeSecret(given.authorityPEM.trimmingSpaces, to: path("ca.pem"))
        try serverFiles.replace(by: .init(keyPEM: given.keyPEM, certificatePEM: given.certificatePEM.trimmingSpaces))
        for name in ["server.csr.key", "server.csr"] { TextFile.remove(path(name)) }
        let days = ServerStanding.days(until: given.expires, from: Date())
        terminal.print("Took the server certificate for *.\(tunnel.domain), which is good for \(days) days.")
    }

    private func refuseOwnAuthority() throws(CommandError) {
        guard !has("ca.key") else {
            throw CommandError(
                .configuration, "\(folder) has a CA of its own: move \(path("ca.key")) away to take the server certificate from your own PKI instead")
        }
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
              route_key_file: route.key
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
