import Crypto
import PosternJSON

/// What a session may do: the one value from which mounts, limits, proxy, gate and audit take their rules.
///
/// A policy of `init()` allows nothing but the workspace. Policies are read by `PolicyReader`, chosen by `PolicySet`, and only ever made
/// narrower after that, by `narrowed(by:)`.
package struct Policy: Sendable, Hashable {
    /// Version of the document's format, and of the digest's input.
    package static let version = 1

    package var name = "none"
    package var profile = Profile.strict
    package var files = FileRules()
    package var workspace = WorkspaceMode.rw
    package var network = NetworkPolicy()
    package var egress = EgressMode.perSession
    package var upstream = UpstreamSettings()
    /// Sorted by name; names do not repeat.
    package var secrets: [PolicySecret] = []
    package var forwards: [Forward] = []
    package var limits = ResourceLimits()
    package var resultBudgets = ResultBudgets()
    /// Set in the sandbox, beside those that Postern sets itself.
    package var variables: [String: String] = [:]
    package var tools = ToolRules()
    package var redaction = RedactionSettings()
    /// Start no sandbox unless every layer is in force.
    package var requiresAllLayers = false

    package init() {}

    /// `sha256:` and 64 hexadecimal digits over the canonical JSON (RFC 8785) of the whole policy. A policy names secrets and never holds
    /// one, so the digest gives nothing away. Each audit record carries it.
    package var digest: String { Self.digest(of: json) }

    static func digest(of json: JSON) -> String {
        let digits = Array("0123456789abcdef")
        return SHA256.hash(data: json.canonical).reduce(into: "sha256:") { text, byte in
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
    }

    /// The secret of that name.
    package func secret(_ name: String) -> PolicySecret? { secrets.first { $0.name == name } }
}
