import PosternJSON

/// A record that is encoded up to its place in the chain, so that this work is done by those who append and not by the one queue that
/// writes. The text is that of RFC 8785; it is written in the order of that form, and only the body is sorted.
struct PreparedRecord: Sendable {
    /// Largest line, bytes. Nothing that a record holds is near it.
    static let maximumBytes = 1 << 20

    let record: AuditRecord
    let writer: String
    private let head: [UInt8]
    private let tail: [UInt8]

    init(_ record: AuditRecord, writer: String) {
        self.record = record
        self.writer = writer
        var head = Array(#"{"body":"#.utf8)
        head.reserveCapacity(512)
        head += JSON.object(record.kind.body).canonical
        Self.member("call", record.callID, &head)
        Self.member("kind", record.kind.name, &head)
        Self.member("policy", record.policy, &head)
        self.head = head
        var tail: [UInt8] = []
        Self.member("session", record.sessionID, &tail)
        Self.member("time", record.time, &tail)
        Self.member("tool", record.tool, &tail)
        tail += Array(",\"v\":\(AuditRecord.version)".utf8)
        Self.member("work", record.workID, &tail)
        Self.member("writer", writer, &tail)
        tail.append(UInt8(ascii: "}"))
        self.tail = tail
    }

    /// Of the line, within 100.
    var bytes: Int { head.count + tail.count + 100 }

    /// The line, without its newline.
    func line(seq: Int, previous: String) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(bytes + 10)
        line += head
        Self.member("prev", previous, &line)
        line += Array(",\"seq\":\(seq)".utf8)
        line += tail
        return line
    }

    private static func member(_ key: StaticString, _ value: String?, _ output: inout [UInt8]) {
        guard let value else { return }
        output += Array(",\"\(key)\":".utf8)
        JSON.write(string: value, to: &output)
    }
}
