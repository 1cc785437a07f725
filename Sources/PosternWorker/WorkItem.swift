import ManagedAgentsClient
import PosternJSON

/// A claimed work item (contract, section 5.1).
package struct WorkItem: Sendable {
    package var id: String
    package var environmentID: String
    /// `data.type`; `session` is the one that is served.
    package var kind: String
    /// `data.id`.
    package var sessionID: String
    /// As the poll gave it; `nil` if absent.
    package var secret: Secret?
    /// The value that the first heartbeat must name, of an item that is taken up again.
    package var heartbeat: String?
    /// Whether it was polled and is still to be acknowledged.
    package var needsAck: Bool
    /// Whether a worker that was killed held it, as the journal says: nothing is done before the first heartbeat has shown that the
    /// lease still holds.
    package var isResumed: Bool
    /// The environment wants a call that a killed worker had begun run again, not reported as unknown.
    package var repeatsCalls: Bool
    /// What the environment's metadata asks for under `postern.policy`, as the poll's answer carried it; it can only take away.
    package var policyFragment: String?

    /// The item as the poll gave it, secret included, for a launcher's script; `nil` for one that was not polled.
    package var polled: JSONObject?

    package init(
        id: String, environmentID: String, kind: String = "session", sessionID: String, secret: Secret?, heartbeat: String? = nil, needsAck: Bool,
        isResumed: Bool = false, repeatsCalls: Bool = false, policyFragment: String? = nil
    ) {
        self.id = id
        self.environmentID = environmentID
        self.kind = kind
        self.sessionID = sessionID
        self.secret = secret
        self.heartbeat = heartbeat
        self.needsAck = needsAck
        self.isResumed = isResumed
        self.repeatsCalls = repeatsCalls
        self.policyFragment = policyFragment
    }

    /// Reads a poll's answer; `nil` if it has no id.
    init?(polled object: JSONObject, environmentID: String, repeatsCalls: Bool, policyFragment: String?) {
        guard let id = object["id"]?.string else { return nil }
        self.init(
            id: id, environmentID: environmentID, kind: object["data"]?["type"]?.string ?? "", sessionID: object["data"]?["id"]?.string ?? "",
            secret: object["secret"]?.string.map { Secret($0) }, needsAck: true, repeatsCalls: repeatsCalls, policyFragment: policyFragment)
        polled = object
    }

    /// The item's own bearer: `sessions_token` in the secret, which is base64 (URL-safe, padding optional) of a JSON object. What cannot
    /// be read counts as absent (contract, section 5.4).
    package var sessionsToken: Secret? {
        guard let secret, let bytes = Base64.decodeURLSafe(secret.value), let json = try? JSON(parsing: bytes),
            let token = json["sessions_token"]?.string, !token.isEmpty
        else { return nil }
        return Secret(token)
    }
}

enum Base64 {
    /// RFC 4648, section 5; the standard alphabet is accepted too. `nil` for anything else.
    static func decodeURLSafe(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var characters = Array(text.utf8)[...]
        while characters.last == UInt8(ascii: "=") { characters.removeLast() }
        guard characters.count % 4 != 1 else { return nil }
        for byte in characters {
            let value: UInt8
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0") + 52
            case UInt8(ascii: "-"), UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "_"), UInt8(ascii: "/"): value = 63
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return output
    }
}
