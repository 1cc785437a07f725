import PosternJSON

/// Where one secret may go: to which hosts, and to which place of a request. The sandbox knows a placeholder only; the proxy puts the
/// secret in its place on the way out, and nowhere else.
package struct SecretBinding: Sendable, Hashable {
    /// How the header carries the secret.
    package enum Scheme: String, Sendable, Hashable, CaseIterable {
        /// The whole value.
        case none
        /// `Bearer SECRET` (RFC 6750).
        case bearer
        /// `token SECRET`, as GitHub's API takes it.
        case token
        /// `Basic BASE64(user:SECRET)` (RFC 7617); the secret is the whole password, or the whole user name before an empty one.
        case basic
    }

    /// A place in a JSON body (RFC 6901) of one method and path.
    package struct Body: Sendable, Hashable {
        package var method: String
        package var path: PathPattern
        package var pointer: String

        package init(method: String, path: PathPattern, pointer: String) {
            self.method = method
            self.path = path
            self.pointer = pointer
        }
    }

    /// Names the secret in the policy, in rules and in the audit.
    package var name: String
    /// At least one.
    package var hosts: [HostPattern]
    /// Lower case.
    package var header = "authorization"
    /// The schemes of which a request may use one; at least one.
    package var schemes: [Scheme] = [.bearer]
    /// A further place; `nil` for none.
    package var body: Body?
    /// The variable that holds the placeholder in the sandbox; `nil` for none.
    package var variable: String?

    package init(name: String, hosts: [HostPattern]) {
        self.name = name
        self.hosts = hosts
    }

    /// Whether the secret may go to `host` on `port`. Patterns without a port mean 443: no secret leaves unencrypted unless 80 is named.
    package func covers(_ host: CanonicalHost, port: UInt16) -> Bool {
        hosts.contains { $0.covers(host, port: port, ports: [443]) }
    }

    /// The binding of the same secret with the places that both allow; `nil` when there is none.
    package func narrowed(by other: SecretBinding) -> SecretBinding? {
        guard name == other.name, header == other.header else { return nil }
        var both = self
        both.hosts = intersection(hosts, other.hosts)
        both.schemes = schemes.filter(other.schemes.contains)
        if body != other.body { both.body = nil }
        return both.hosts.isEmpty || both.schemes.isEmpty ? nil : both
    }
}

/// What some pattern of each list means.
func intersection(_ left: [HostPattern], _ right: [HostPattern]) -> [HostPattern] {
    var both: [HostPattern] = []
    for mine in left {
        for theirs in right {
            if let pattern = mine.intersection(theirs), !both.contains(pattern) { both.append(pattern) }
        }
    }
    return both
}

extension SecretBinding {
    /// Headers that steer the connection and never carry a secret.
    private static let refusedHeaders: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade",
        "expect", "range", "accept-encoding", "keep-alive",
    ]

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        name = try fields.required("name")
        hosts = try fields.list("hosts") { (json: JSON) throws(PolicyValueError) in try HostPattern(json: json) }
        guard !hosts.isEmpty else {
            throw PolicyValueError(
                path: ["hosts"], value: "[]", rule: "a secret is bound to at least one host", remedy: "name the hosts that it is for")
        }
        if let header = try fields.string("header") { self.header = header.lowercased() }
        guard !header.isEmpty, header.utf8.count <= 64, header.utf8.allSatisfy(Self.isTokenByte) else {
            throw PolicyValueError(path: ["header"], value: header, rule: "must be a header's name of at most 64 bytes")
        }
        guard !Self.refusedHeaders.contains(header) else {
            throw PolicyValueError(path: ["header"], value: header, rule: "steers the connection and carries no secret")
        }
        let given = try fields.list("schemes") { (json: JSON) throws(PolicyValueError) -> Scheme in
            let text = try FieldReader.text(json)
            guard let scheme = Scheme(rawValue: text) else {
                throw PolicyValueError(value: text, rule: "must be one of \(Scheme.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return scheme
        }
        schemes = given.isEmpty ? (header == "authorization" ? [.bearer] : [.none]) : given
        if let json = fields.member("body") {
            do throws(PolicyValueError) {
                body = try Body(json: json)
            } catch {
                throw error.below("body")
            }
        }
        variable = try fields.string("variable")
        try fields.finish()
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    package var json: JSON {
        var object: JSONObject = [
            "name": .string(name), "hosts": .array(hosts.map(\.json)), "header": .string(header),
            "schemes": .array(schemes.map { .string($0.rawValue) }),
        ]
        if let body { object["body"] = body.json }
        if let variable { object["variable"] = .string(variable) }
        return .object(object)
    }
}

extension SecretBinding.Body {
    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        method = try fields.required("method")
        do throws(PolicyValueError) {
            path = try PathPattern(try fields.required("path"))
        } catch {
            throw error.path.isEmpty ? error.below("path") : error
        }
        pointer = try fields.required("pointer")
        try fields.finish()
        guard pointer.hasPrefix("/") else {
            throw PolicyValueError(path: ["pointer"], value: pointer, rule: "a JSON pointer begins with '/' (RFC 6901)")
        }
    }

    var json: JSON { ["method": .string(method), "path": path.json, "pointer": .string(pointer)] }
}
