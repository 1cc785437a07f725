import ManagedAgentsAPI
import PosternJSON

/// The keys of metadata that mean something to Postern. Their values are held to their form where they are written: later, at the worker, all that
/// could be done with one that cannot be read is to stop the session.
enum PosternMetadata {
    /// Of an environment: what becomes of calls that a lost worker may have run.
    static let redelivery = "postern.redelivery"
    /// Of an environment or a session: what its sessions' policy is to be narrowed to. What it means is for the worker to say.
    static let policy = "postern.policy"

    /// - Throws: 400 that names the key.
    static func check(environment metadata: JSONObject) throws(APIError) {
        if let value = metadata[redelivery]?.string, Redelivery(rawValue: value) == nil {
            throw .invalid("metadata.\(redelivery): Input should be 'at_most_once' or 'at_least_once'")
        }
        try checkPolicy(metadata)
    }

    /// - Parameter metadata: All of it, or a patch.
    /// - Throws: 400 that names the key.
    static func check(session metadata: JSONObject) throws(APIError) { try checkPolicy(metadata) }

    private static func checkPolicy(_ metadata: JSONObject) throws(APIError) {
        guard let text = metadata[policy]?.string else { return }
        switch try? JSON(parsing: text) {
        case .object, .array: return
        default:
            throw .invalid(
                "metadata.\(policy): Input should be a JSON object of policy keys, or a JSON list of names, as text. To ask for nothing, leave the key out.",
                details: ["error_code": "invalid_metadata"])
        }
    }
}

extension EnvironmentRecord {
    /// What the environment asks of its sessions' policy, as one line of ASCII that fits into a header. A stored value that is no JSON, from before
    /// it was refused, becomes one that no worker takes: its sessions stop instead of running with more than was meant.
    package var policyFragment: String? {
        guard let text = body["metadata"]?[PosternMetadata.policy]?.string else { return nil }
        guard let json = try? JSON(parsing: text) else { return "invalid" }
        return json.text.unicodeScalars.reduce(into: "") { line, scalar in
            if scalar.isASCII { return line.unicodeScalars.append(scalar) }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
    }
}
