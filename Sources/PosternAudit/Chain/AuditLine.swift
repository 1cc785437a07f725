import PosternJSON

/// A line of a log, read back: what the chain needs of it, and its JSON.
package struct AuditLine: Sendable {
    package let json: JSON
    package let seq: Int
    package let kind: String
    package let body: JSONObject
    package let writer: String
    let previous: String

    package var session: String { json["session"]?.string ?? "" }
    package var call: String { json["call"]?.string ?? "" }
    package var time: String { json["time"]?.string ?? "" }

    /// Why a line is not a record.
    package struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
        package var description: String
    }

    /// Reads a line without its newline.
    package init(parsing bytes: some Sequence<UInt8>) throws(Malformed) {
        do {
            json = try JSON(parsing: bytes, options: .init(maximumDepth: 16, rejectsLoneSurrogates: true))
        } catch {
            throw Malformed(description: error.description)
        }
        guard json["v"]?.int == AuditRecord.version else { throw Malformed(description: "its member v is not \(AuditRecord.version)") }
        guard let seq = json["seq"]?.int, seq > 0 else { throw Malformed(description: "its member seq is not a positive integer") }
        guard let kind = json["kind"]?.string, let body = json["body"]?.object, let writer = json["writer"]?.string,
            let previous = json["prev"]?.string
        else { throw Malformed(description: "it lacks one of kind, body, writer and prev") }
        guard AuditRecord.Kind.Name(rawValue: kind) != nil else { throw Malformed(description: "it has the unknown kind \(kind)") }
        self.seq = seq
        self.kind = kind
        self.body = body
        self.writer = writer
        self.previous = previous
    }
}

extension AuditLine {
    /// The bytes that a checkpoint's signature covers: the line without the signature.
    var signedBytes: [UInt8] {
        guard var object = json.object else { return [] }
        var body = body
        body["signature"] = Optional<JSON>.none
        object["body"] = .object(body)
        return JSON.object(object).canonical
    }

    /// The intent that an `unknown` record or an entry of a rotation names.
    static func openIntent(_ body: JSONObject) -> AuditRecord.OpenIntent? {
        guard let kind = body["kind"]?.string.flatMap({ AuditRecord.OpenIntent.Kind(rawValue: $0) }), let session = body["session"]?.string,
            let id = body["id"]?.string, let seq = body["seq"]?.int
        else { return nil }
        return .init(kind: kind, session: session, id: id, seq: seq)
    }
}
