import PosternHTTP
import PosternPolicy
import PosternTunnelWire
import Testing

@testable import PosternConnector

/// Policies as a connector's document says them.
enum PolicyDocument {
    static func problems(_ policy: String) -> [String] {
        do throws(PolicyProblems) {
            _ = try configuration(policy)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    static func policy(_ policy: String) throws -> RoutePolicy { try #require(try configuration(policy).routes["docs"]?.policy) }

    /// `policy` begins in line 10, behind six spaces.
    private static func configuration(_ policy: String) throws(PolicyProblems) -> ConnectorConfiguration {
        let lines = policy.split(separator: "\n", omittingEmptySubsequences: false).map { "      \($0)\n" }.joined()
        let text = """
            tunnel: {id: tnl_1, workspace_id: wrkspc_1, domain: ab12cd34.tunnel.example.com}
            edges: {addresses: [edge.example.com], name: tunnel.example.com}
            identity: {key_file: connector.key, certificate_file: connector.pem}
            server_certificate: {certificate_file: server.pem, key_file: server.key}
            runtime_authority: {certificate_file: runtime-ca.pem}
            routes:
              docs:
                upstream: http://10.0.0.7:8080
                policy:

            """
        return try ConnectorConfiguration(text: text + lines, file: "connector.yaml", hostName: "host")
    }

    static func fields(_ all: [(String, String)] = []) -> HTTPFields {
        var fields = HTTPFields()
        if !all.contains(where: { $0.0.lowercased() == "content-type" }) { fields.append("Content-Type", "application/json") }
        for (name, value) in all { fields.append(name, value) }
        return fields
    }

    static func identity(client: String? = "laptop", agent: String? = nil, session: String? = nil, workspace: String = "wrkspc_1") -> RuntimeIdentity
    {
        RuntimeIdentity(tunnelID: "tnl_1", workspaceID: workspace, agentID: agent, sessionID: session, client: client)
    }
}

extension RouteGuard {
    /// The rule that refuses a message; `nil` when it passes.
    func rule(_ body: String, _ fields: [(String, String)] = [], from identity: RuntimeIdentity = PolicyDocument.identity(), now: Double = 0)
        -> String?
    {
        judge(Array(body.utf8), PolicyDocument.fields(fields), from: identity, now: now).refusal?.rule
    }

    /// The rule that refuses a call of `tool`.
    func rule(tool: String, _ arguments: String = "{}", from identity: RuntimeIdentity = PolicyDocument.identity()) -> String? {
        rule(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\#(tool)","arguments":\#(arguments)}}"#, from: identity)
    }
}
