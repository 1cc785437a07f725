import Crypto
import PosternJSON

/// The digest of an agent's configuration, as runtime certificates say it and connectors pin it: `sha256:` and 64 hexadecimal digits.
///
/// It is made over what decides on what the agent does, and over nothing else: two agents with one configuration have one digest, and a session that
/// overrides anything of it has another.
package enum ConfigurationDigest {
    /// The members of an agent that count; one that is missing counts as null.
    package static let members = ["model", "system", "tools", "mcp_servers", "skills", "multiagent"]

    /// - Parameter agent: An agent as the API answers it, or the `agent` of a session.
    package static func text(of agent: JSONObject) -> String {
        var configuration = JSONObject()
        for member in members { configuration[member] = agent[member] ?? .null }
        return "sha256:" + Hexadecimal.text(SHA256.hash(data: JSON.object(configuration).canonical))
    }
}
