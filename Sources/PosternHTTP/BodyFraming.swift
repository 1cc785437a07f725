/// How the end of a body is found (RFC 9112, section 6.3). What two parsers could read differently is refused.
package enum BodyFraming: Hashable, Sendable {
    case none
    case length(Int)
    case chunked
    /// Up to the end of the connection; responses only.
    case untilClose

    package init(request fields: HTTPFields, minorVersion: Int) throws(HTTPRefusal) {
        self = try Self.declared(fields, minorVersion) ?? .none
    }

    /// The framing of the answer to a request with `method`.
    package init(response head: ResponseHead, to method: String) throws(HTTPRefusal) {
        do throws(HTTPRefusal) {
            let declared = try Self.declared(head.fields, head.minorVersion)
            if method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304 {
                self = .none
            } else {
                self = declared ?? .untilClose
            }
        } catch {
            throw HTTPRefusal(502, "the server's answer: \(error.reason)")
        }
    }

    private static func declared(_ fields: HTTPFields, _ minorVersion: Int) throws(HTTPRefusal) -> BodyFraming? {
        let lengths = fields.named("content-length")
        let codings = fields.named("transfer-encoding")
        if !codings.isEmpty {
            guard lengths.isEmpty else { throw HTTPRefusal("both Content-Length and Transfer-Encoding are given") }
            guard minorVersion == 1 else { throw HTTPRefusal("Transfer-Encoding in HTTP/1.0") }
            guard codings.count == 1, codings[0].text.lowercased() == "chunked" else {
                throw HTTPRefusal(501, "a Transfer-Encoding other than one \"chunked\"")
            }
            return .chunked
        }
        guard let first = lengths.first else { return nil }
        guard lengths.count == 1 else { throw HTTPRefusal("Content-Length is given more than once") }
        guard let length = HTTPText.number(first.value) else { throw HTTPRefusal("Content-Length is no number") }
        return length == 0 ? .length(0) : .length(length)
    }

    /// Whether there is surely nothing to read.
    package var isEmpty: Bool { self == .none || self == .length(0) }
}
