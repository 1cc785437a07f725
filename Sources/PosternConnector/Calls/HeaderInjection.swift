import FoundationEssentials
import PosternGate
import PosternHTTP
import PosternTunnelWire

/// A header field that the connector sets on requests to an upstream. Prints no value.
package struct HeaderInjection: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    let name: String
    /// Of its name, see `HTTPField.spelling`.
    let spelling: String
    let value: [UInt8]
    /// Whether its value is kept out of answers.
    let isMasked: Bool

    /// Throws for what is no field, and for what is to be masked and cannot be; the message repeats nothing of the value.
    package init(name: String, value: String, isMasked: Bool = true) throws(ConnectorError) {
        if let problem = Self.problem(withName: name) { throw ConnectorError("the injected header \"\(name)\" \(problem)") }
        self.name = name
        spelling = HTTPText.spelling(name)
        self.value = Array(value.utf8)
        guard (1...KnownSecret.mostBytes).contains(self.value.count), self.value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw ConnectorError("the value for the injected header \"\(name)\" is empty, too long, or holds a control byte")
        }
        self.isMasked = isMasked
        guard !isMasked || self.value.count >= KnownSecret.leastBytes else {
            throw ConnectorError(
                "the value for the injected header \"\(name)\" has less than \(KnownSecret.leastBytes) bytes and could not be masked in answers: "
                    + "write \"mask: false\" beside its file if it is no secret")
        }
    }

    /// What is to be found in answers: the value, and the credentials in it, each as a server may repeat it.
    var secrets: [KnownSecret] {
        guard isMasked else { return [] }
        let text = String(decoding: value, as: UTF8.self)
        var parts = [text]
        if let space = text.firstIndex(of: " ") {
            let (scheme, rest) = (text[..<space].lowercased(), String(text[text.index(after: space)...].drop { $0 == " " }))
            // Credentials behind their scheme (RFC 9110, section 11.4); of Basic the user's and the password (RFC 7617).
            if scheme.utf8.allSatisfy(HTTPText.isToken) { parts.append(rest) }
            if scheme == "basic", let decoded = Data(base64Encoded: rest).map({ String(decoding: $0, as: UTF8.self) }) {
                parts.append(decoded)
                if let colon = decoded.firstIndex(of: ":") { parts.append(String(decoded[decoded.index(after: colon)...])) }
            }
        }
        if spelling == "cookie" {
            for pair in text.split(separator: ";") { parts.append(pair.split(separator: "=", maxSplits: 1).last.map(String.init) ?? "") }
        }
        var seen = Set<[UInt8]>()
        return parts.map { Array($0.utf8) }
            .filter { (KnownSecret.leastBytes...KnownSecret.mostBytes).contains($0.count) && seen.insert($0).inserted }
            .map { KnownSecret(name: Self.mark(name), value: $0) }
    }

    /// The name as marks show it.
    private static func mark(_ name: String) -> String {
        String(name.prefix(64).map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "-" })
    }

    /// What speaks against setting a field of that name: those that steer the message are the connector's own.
    static func problem(withName name: String) -> String? {
        guard !name.isEmpty, name.utf8.allSatisfy(HTTPText.isToken) else { return "is no name of a header" }
        return ForwardedHeaders.reserved.contains(HTTPText.spelling(name)) ? "is the connector's to set" : nil
    }

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
    /// What a caller says of where it is, in any of the ways that servers believe: a connector tells that to nobody.
    static let ofCaller: Set<String> = [
        "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl", "x-forwarded-by", "x-forwarded-prefix", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-forwarded-for",
        "x-original-host", "true-client-ip", "cf-connecting-ip", "client-ip",
    ]
    /// What the connector sets itself, or keeps to itself, in any spelling.
    static let replaced = ofCaller.union(["host", "expect", CallRenewal.header])
    /// Never injected.
    static let reserved = hopByHop.union(["host", "expect", "x-forwarded-host"])

    /// Without fields that are between two hops, and without those that `Connection` names.
    static func endToEnd(_ fields: HTTPFields) -> HTTPFields {
        let named = fields.named("connection").flatMap(\.tokens)
        var fields = fields
        fields.all.removeAll { hopByHop.contains($0.key) || named.contains($0.key) }
        return fields
    }
}
