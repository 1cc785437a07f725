import PosternJSON

/// What one line of the audit log says, before the log gives it its place in the chain (`seq`, `prev`, `writer`).
/// Times are RFC 3339 texts; they come in, so that records can be made without a clock.
package struct AuditRecord: Sendable, Equatable {
    /// The form of a line. Lines of form 1 were not chained.
    package static let version = 2

    package var time: String
    package var sessionID: String?
    package var workID: String?
    /// The id of the `agent.*_tool_use` event that this belongs to.
    package var callID: String?
    package var tool: String?
    /// Digest of the policy in force; where `nil`, the log fills in that of the session, or of the worker.
    package var policy: String?
    package var kind: Kind

    package init(
        time: String, sessionID: String? = nil, workID: String? = nil, callID: String? = nil, tool: String? = nil, policy: String? = nil, kind: Kind
    ) {
        self.time = time
        self.sessionID = sessionID
        self.workID = workID
        self.callID = callID
        self.tool = tool
        self.policy = policy
        self.kind = kind
    }
}

/// A record's place in the chain of its writer.
struct ChainPlace: Sendable, Equatable {
    /// The first 16 hex digits of the SHA-256 of the chain's root public key.
    var writer: String
    /// From 1, without a gap.
    var seq: Int
    /// SHA-256 of the line before, lower-case hex; zeros for the first.
    var previous: String
}

extension AuditRecord {
    /// The members of the line, in any order.
    func json(at place: ChainPlace) -> JSON {
        var object: JSONObject = [
            "v": JSON(Self.version), "seq": JSON(place.seq), "prev": .string(place.previous), "writer": .string(place.writer),
            "time": .string(time), "kind": .string(kind.name), "body": .object(kind.body),
        ]
        object["session"] = sessionID.map(JSON.string)
        object["work"] = workID.map(JSON.string)
        object["call"] = callID.map(JSON.string)
        object["tool"] = tool.map(JSON.string)
        object["policy"] = policy.map(JSON.string)
        return .object(object)
    }

    /// The line in the form of RFC 8785, without its newline. Written in the order of that form, so that only the body is sorted; the
    /// same bytes as `json(at:).canonical`.
    func line(at place: ChainPlace) -> [UInt8] {
        var line = Array(#"{"body":"#.utf8)
        line += JSON.object(kind.body).canonical
        func member(_ key: String, _ value: String?) {
            guard let value else { return }
            line += Array(",\"\(key)\":".utf8)
            JSON.write(string: value, to: &line)
        }
        member("call", callID)
        member("kind", kind.name)
        member("policy", policy)
        member("prev", place.previous)
        line += Array(",\"seq\":\(place.seq)".utf8)
        member("session", sessionID)
        member("time", time)
        member("tool", tool)
        line += Array(",\"v\":\(Self.version)".utf8)
        member("work", workID)
        member("writer", place.writer)
        line.append(UInt8(ascii: "}"))
        return line
    }
}
