import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// One kind of resource, as far as list, show, archive and delete need to know it.
protocol ResourceKind: Sendable {
    /// `agent`
    static var noun: String { get }
    static var plural: String { get }
    /// `/v1/agents`
    static var path: String { get }
    static var columns: [Show.Column] { get }
}

extension ResourceKind {
    static func path(_ id: String, _ suffix: String = "") throws -> RequestPath {
        guard !id.isEmpty else { throw ValidationError("the \(noun)'s id is empty") }
        return RequestPath(verbatim: "\(path)/\(PercentEncoding.encode(id))\(suffix)")
    }
}

enum Agents: ResourceKind {
    static let noun = "agent"
    static let plural = "agents"
    static let path = "/v1/agents"
    static let columns: [Show.Column] = [
        .init("id", "id"), .init("version", "version"), .init("name", "name"), .init("model", "model.id"), .init("updated", "updated_at"),
    ]
}

enum Environments: ResourceKind {
    static let noun = "environment"
    static let plural = "environments"
    static let path = "/v1/environments"
    static let columns: [Show.Column] = [.init("id", "id"), .init("name", "name"), .init("type", "config.type"), .init("created", "created_at")]
}

enum Sessions: ResourceKind {
    static let noun = "session"
    static let plural = "sessions"
    static let path = "/v1/sessions"
    static let columns: [Show.Column] = [
        .init("id", "id"), .init("status", "status"), .init("agent", "agent.name"), .init("title", "title"), .init("created", "created_at"),
    ]
}

enum Tunnels: ResourceKind {
    static let noun = "tunnel"
    static let plural = "tunnels"
    static let path = "/v1/tunnels"
    static let columns: [Show.Column] = [
        .init("id", "id"), .init("domain", "domain"), .init("name", "display_name"), .init("created", "created_at"),
        .init("archived", "archived_at"),
    ]

    /// What Postern adds to a tunnel.
    static func ownPath(_ id: String, _ suffix: String) throws -> RequestPath { RequestPath(verbatim: "/postern\(try path(id, suffix).text)") }
}

enum Keys: ResourceKind {
    static let noun = "API key"
    static let plural = "keys"
    static let path = "/postern/v1/keys"
    static let columns: [Show.Column] = [
        .init("id", "id"), .init("name", "name"), .init("role", "role"), .init("hint", "hint"), .init("created", "created_at"),
        .init("expires", "expires_at"), .init("revoked", "revoked_at"),
    ]
}
