import PosternJSON

/// Records as OTLP logs in their JSON form (opentelemetry-proto, `ExportLogsServiceRequest`): one request a batch, ready to be sent to
/// `/v1/logs` of a collector.
package struct OTLPLogs: Sendable {
    /// Records that go into one request.
    package static let batch = 512

    private let resource: JSON
    private var records: [JSON] = []

    package init(host: String, version: String) {
        resource = [
            "attributes": [
                Self.attribute("service.name", "postern"), Self.attribute("service.version", .string(version)),
                Self.attribute("host.name", .string(host)),
            ]
        ]
    }

    /// Takes a record; gives a request when there are enough of them.
    package mutating func add(_ record: AuditLine, line: [UInt8]) -> JSON? {
        records.append(Self.record(record, line))
        return records.count >= Self.batch ? flush() : nil
    }

    /// The request with what is left; `nil` if nothing is.
    package mutating func flush() -> JSON? {
        guard !records.isEmpty else { return nil }
        defer { records = [] }
        return [
            "resourceLogs": [
                ["resource": resource, "scopeLogs": [["scope": ["name": "postern.audit", "version": "2"], "logRecords": .array(records)]]]
            ]
        ]
    }

    private static func record(_ record: AuditLine, _ line: [UInt8]) -> JSON {
        let severity = AuditSeverity(record).openTelemetry
        // 64-bit integers are strings in the JSON form of protocol buffers.
        let time = JSON.string("\(AuditTime.nanoseconds(record.time) ?? 0)")
        var attributes: [JSON] = [
            attribute("postern.audit.kind", .string(record.kind)), attribute("postern.audit.writer", .string(record.writer)),
            ["key": "postern.audit.seq", "value": ["intValue": .string("\(record.seq)")]],
        ]
        for (key, name) in [("session", "postern.session"), ("work", "postern.work"), ("call", "postern.call"), ("tool", "postern.tool")] {
            if let value = record.json[key] { attributes.append(attribute(name, value)) }
        }
        return [
            "timeUnixNano": time, "observedTimeUnixNano": time, "severityNumber": JSON(severity.number), "severityText": .string(severity.text),
            "eventName": .string("postern.audit.\(record.kind)"), "body": ["stringValue": .string(String(decoding: line, as: UTF8.self))],
            "attributes": .array(attributes),
        ]
    }

    private static func attribute(_ key: String, _ value: JSON) -> JSON { ["key": .string(key), "value": ["stringValue": value]] }
}
