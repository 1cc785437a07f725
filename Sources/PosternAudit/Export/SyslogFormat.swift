/// Records as syslog messages (RFC 5424). The message is the whole line of the log, so nothing is lost and its hash can be checked.
package struct SyslogFormat: Sendable {
    /// Facility 13: log audit.
    private static let facility = 13
    /// No enterprise number is assigned to Postern; 32473 is the one that documents may use (RFC 5612).
    private static let structure = "postern@32473"

    private let host: String
    private let process: String

    /// - Parameters:
    ///   - host: HOSTNAME of every message; what is not printable ASCII in it becomes `-`.
    ///   - process: PROCID; the writer's name without it.
    package init(host: String, process: String? = nil) {
        self.host = Self.token(host, limit: 255)
        self.process = process.map { Self.token($0, limit: 128) } ?? "-"
    }

    /// One message, without a newline. `line` is the record's text as it stands in the log.
    package func message(_ record: AuditLine, line: [UInt8]) -> [UInt8] {
        let priority = Self.facility * 8 + AuditSeverity(record).syslog
        let time = AuditTime.nanoseconds(record.time) == nil ? "-" : record.time
        var head = "<\(priority)>1 \(time) \(host) postern-audit \(process) \(Self.token(record.kind, limit: 32)) "
        head += "[\(Self.structure) seq=\"\(record.seq)\" writer=\"\(Self.escaped(record.writer))\""
        if !record.session.isEmpty { head += " session=\"\(Self.escaped(record.session))\"" }
        if !record.call.isEmpty { head += " call=\"\(Self.escaped(record.call))\"" }
        // The byte order mark says that the message is UTF-8.
        return Array((head + "] \u{FEFF}").utf8) + line
    }

    private static func token(_ text: String, limit: Int) -> String {
        let bytes = text.utf8.prefix(limit).map { (33...126).contains($0) ? $0 : UInt8(ascii: "-") }
        return bytes.isEmpty ? "-" : String(decoding: bytes, as: UTF8.self)
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" || scalar == "]" { result += "\\" }
            result += scalar.properties.generalCategory == .control ? "?" : String(scalar)
        }
        return result
    }
}
