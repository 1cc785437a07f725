import PosternConnector
import PosternPolicy

/// What an operator writes, and what somebody may have slipped in.
extension FuzzTarget {
    static let connectorDocument = FuzzTarget(
        "connector-document",
        seeds: [
            """
            tunnel: {id: tnl_1, workspace_id: wrkspc_1, domain: ab12cd34.tunnel.example.com}
            edges: {addresses: [edge.example.com, "[::1]:8443"], name: tunnel.example.com}
            legs: 4
            identity: {key_file: connector.key, certificate_file: connector.pem}
            server_certificate: {certificate_file: server.pem, key_file: server.key}
            runtime_authority: {certificate_file: runtime-ca.pem}
            routes:
              docs:
                upstream: http://10.0.0.7:8080
                callers: {clients: [laptop], agents: [agent_1]}
                headers: {Authorization: {file: token}}
              open: {upstream: "https://mcp.internal:8443", callers: {any: true}, addresses: [127.0.0.0/8], host: keep}

            """,
            """
            tunnel: &t {id: tnl_1, workspace_id: wrkspc_1, domain: ab12cd34.tunnel.example.com}
            edges: {addresses: [edge.example.com], name: tunnel.example.com, <<: *t}
            routes:
              docs:
                upstream: http://10.0.0.7:8080
                policy:
                  tools: {allow: ["read_*"], deny: ["*_secret"], pins: {search: "sha256:00"}}
                  arguments: {read_file: {type: object, properties: {path: {type: string, pattern: '^/data/[a-z]+$'}}}}
                  rate: {calls_per_minute: 120, burst: 20}

            """,
        ].map { Array($0.utf8) }
    ) { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        let read: Result<ConnectorConfiguration, PolicyProblems>
        do throws(PolicyProblems) {
            read = .success(try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "host"))
        } catch {
            read = .failure(error)
        }
        switch read {
        case .success(let document):
            try hold(
                !document.tunnel.id.isEmpty && !document.edges.addresses.isEmpty && ConnectorConfiguration.legs.contains(document.legs),
                "a document without a tunnel, an edge or legs is taken")
        case .failure(let error):
            try hold(
                !error.problems.isEmpty && error.problems.allSatisfy { $0.description.hasPrefix("connector.yaml:") },
                "a problem has no place: \(error.problems.map(\.description))")
        }
    }
}
