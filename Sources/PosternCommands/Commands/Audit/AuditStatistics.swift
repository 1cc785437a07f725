import PosternAudit
import PosternJSON

/// Counts over a log, for people who look after it. Bounded: of what there are too many different ones, the later ones are counted together.
struct AuditStatistics {
    private static let maximumDistinct = 10_000
    private static let others = "(others)"
    private static let noRule = "no rule"

    private(set) var sessions: [String: Int] = [:]
    private(set) var tools: [String: Int] = [:]
    /// Denials of the network by host, counted ones included.
    private(set) var denials: [String: Int] = [:]
    /// Denials of files by rule, counted ones included.
    private(set) var fileDenials: [String: Int] = [:]
    private(set) var secrets: [String: Int] = [:]
    private(set) var failedCalls = 0
    private(set) var egressBytesSent = 0
    private(set) var egressBytesReceived = 0

    mutating func take(_ line: AuditLine) {
        if !line.session.isEmpty { Self.count(line.session, &sessions) }
        switch line.kind {
        case "intent": Self.count(line.json["tool"]?.string ?? "", &tools)
        case "outcome": if line.body["is_error"]?.bool == true { failedCalls += 1 }
        case "egress_refused": Self.count("\(line.body["host"]?.string ?? ""):\(line.body["port"]?.int ?? 0)", &denials)
        case "file_decision": if line.body["allowed"]?.bool == false { Self.count(line.body["rule"]?.string ?? Self.noRule, &fileDenials) }
        case "repeated": takeRepeated(line)
        case "secret_use": Self.count("\(line.body["name"]?.string ?? "") at \(line.body["host"]?.string ?? "")", &secrets)
        case "egress_outcome":
            egressBytesSent += line.body["bytes_sent"]?.int ?? 0
            egressBytesReceived += line.body["bytes_received"]?.int ?? 0
        default: break
        }
    }

    private mutating func takeRepeated(_ line: AuditLine) {
        let what = line.body["what"]?.string ?? ""
        let count = line.body["count"]?.int ?? 0
        switch line.body["kind"]?.string {
        case "key_use": break
        case "file_decision":
            // "OPERATION PATH: RULE"
            let rule = what.lastIndex(of: ":").map { String(what[what.index(after: $0)...].drop { $0 == " " }) }
            Self.count(rule ?? Self.others, &fileDenials, by: count)
        default: Self.count("repeated: " + (what.isEmpty ? Self.others : what), &denials, by: count)
        }
    }

    private static func count(_ name: String, _ counts: inout [String: Int], by number: Int = 1) {
        counts[counts[name] != nil || counts.count < maximumDistinct ? name : others, default: 0] += number
    }

    /// The largest ones, largest first.
    static func top(_ counts: [String: Int], _ number: Int = 10) -> [(name: String, count: Int)] {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(number).map { ($0.key, $0.value) }
    }

    var json: JSON {
        func object(_ counts: [String: Int]) -> JSON { .object(JSONObject(Self.top(counts, .max).map { ($0.name, JSON($0.count)) })) }
        return [
            "sessions": object(sessions), "tools": object(tools), "denials": object(denials), "file_denials": object(fileDenials),
            "secret_uses": object(secrets),
            "failed_calls": JSON(failedCalls), "egress_bytes_sent": JSON(egressBytesSent), "egress_bytes_received": JSON(egressBytesReceived),
        ]
    }
}
