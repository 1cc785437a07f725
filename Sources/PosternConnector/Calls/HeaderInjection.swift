import PosternHTTP

/// A header field that the connector sets on requests to an upstream. Prints no value.
package struct HeaderInjection: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    let name: String
    let value: [UInt8]

    /// Throws for what is no field; the message repeats nothing of the value.
    package init(name: String, value: String) throws(ConnectorError) {
        if let problem = Self.problem(withName: name) { throw ConnectorError("the injected header \"\(name)\" \(problem)") }
        self.name = name
        self.value = Array(value.utf8)
        guard !self.value.isEmpty, self.value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw ConnectorError("the value for the injected header \"\(name)\" is empty or holds a control byte")
        }
    }

    /// What speaks against setting a field of that name: those that steer the message are the connector's own.
    static func problem(withName name: String) -> String? {
        guard !name.isEmpty, name.utf8.allSatisfy(HTTPText.isToken) else { return "is no name of a header" }
        return ForwardedHeaders.reserved.contains(spelling(name)) ? "is the connector's to set" : nil
    }

    /// One for all spellings that some server takes for the same name.
    static func spelling(_ name: String) -> String { String(name.lowercased().map { $0 == "_" || $0 == "." ? "-" : $0 }) }

    package var description: String { "HeaderInjection(\(name))" }
    package var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

/// Header fields on their way between the caller and the upstream.
enum ForwardedHeaders {
    /// Between two hops only (RFC 9110, section 7.6.1), and what belongs to the connector's own framing.
    static let hopByHop: Set<String> = [
        "connection", "proxy-connection", "keep-alive", "proxy-authorization", "proxy-authenticate", "te", "trailer", "upgrade",
        "transfer-encoding", "content-length", "http2-settings",
    ]
    /// Never injected.
    static let reserved = hopByHop.union(["host", "expect", "x-forwarded-host"])

    /// Without fields that are between two hops, and without those that `Connection` names.
    static func endToEnd(_ fields: HTTPFields) -> HTTPFields {
        let named = fields.named("connection").flatMap(\.tokens)
        var fields = fields
        fields.remove(hopByHop.union(named))
        return fields
    }
}
