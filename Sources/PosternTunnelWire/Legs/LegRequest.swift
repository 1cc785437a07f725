import PosternHTTP

/// What a connector asks an edge to open a leg: `POST /v1/tunnel/connect` with `Upgrade: postern-leg/1` (RFC 9110, section 7.8).
package struct LegRequest: Hashable, Sendable {
    package static let path = "/v1/tunnel/connect"
    package static let upgrade = "postern-leg/1"

    /// Of the tunnel.
    package var tunnelID: String
    /// Tells the legs of one connector apart: `NAME/INDEX`. A leg takes the place of one with the same name and the same key.
    package var leg: String
    /// The connector's version, as it gives it.
    package var version: String
    /// The tunnel token, only where the connector's key is to be enrolled.
    package var token: String?
    /// When the connector's server certificate ends, in seconds since 1970, for those who watch over it; `nil` where it does not say.
    package var certificateExpires: Int?

    /// Up to the end of the year 9999.
    private static let latestExpiry = 253_402_300_799

    /// Of `leg`, in bytes: letters, digits, `-`, `_`, `.` and one slash.
    package static let longestLeg = 100

    package init(tunnelID: String, leg: String, version: String, token: String?, certificateExpires: Int? = nil) {
        self.tunnelID = tunnelID
        self.leg = leg
        self.version = version
        self.token = token
        self.certificateExpires = certificateExpires
    }

    /// The request on the wire, to the edge called `host`.
    /// - Parameter upgrade: `LegProof.upgrade` where the key is proved by a challenge first.
    package func encoded(host: String, upgrade: String? = nil) -> [UInt8] {
        var fields = HTTPFields()
        fields.append("Host", host)
        fields.append("Connection", "Upgrade")
        fields.append("Upgrade", upgrade ?? Self.upgrade)
        fields.append("Content-Length", "0")
        fields.append("Postern-Tunnel", tunnelID)
        fields.append("Postern-Leg", leg)
        fields.append("User-Agent", "postern-connector/\(version)")
        if let certificateExpires { fields.append("Postern-Certificate-Expires", String(certificateExpires)) }
        if let token { fields.append("Authorization", "Bearer \(token)") }
        var output = Array("POST \(Self.path) HTTP/1.1\r\n".utf8)
        fields.write(to: &output)
        return output
    }

    /// Whether the head is for a leg at all, well-formed or not.
    package static func matches(_ head: RequestHead) -> Bool { head.target.elementsEqual(path.utf8) }

    package init(_ head: RequestHead) throws(LegRefusal) {
        func refuse(_ message: String) -> LegRefusal { LegRefusal(.malformed, message) }
        guard head.method == "POST" else { throw refuse("\(Self.path) is asked for with POST") }
        guard [Self.upgrade, LegProof.upgrade].contains(head.upgrade) else {
            throw refuse("\(Self.path) needs \"Connection: Upgrade\" and \"Upgrade: \(Self.upgrade)\"")
        }
        guard head.body.isEmpty else { throw refuse("\(Self.path) takes no body") }
        guard let tunnel = Self.single("postern-tunnel", head), Self.isPlain(tunnel) else {
            throw refuse("\"Postern-Tunnel\" must name the tunnel by its id")
        }
        guard let leg = Self.single("postern-leg", head), Self.isPlain(leg), leg.split(separator: "/").count == 2 else {
            throw refuse("\"Postern-Leg\" must name the leg as NAME/INDEX, in at most \(Self.longestLeg) bytes")
        }
        tunnelID = tunnel
        self.leg = leg
        let agent = Self.single("user-agent", head) ?? ""
        let prefix = "postern-connector/"
        // Repeated in reports about every tenant's legs, so it is held to what a version looks like.
        let told = agent.dropFirst(prefix.count)
        let isVersion = agent.hasPrefix(prefix) && (1...40).contains(told.utf8.count) && told.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        version = isVersion ? String(told) : "unknown"
        // Told for reports alone: a leg is not refused for it.
        certificateExpires = Self.single("postern-certificate-expires", head).flatMap { text in
            text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil
        }.flatMap { $0 <= Self.latestExpiry ? $0 : nil }
        token = try BearerCredential.read(head, field: "authorization").map { (credential) throws(LegRefusal) -> String in
            guard credential.utf8.count <= 512 else { throw refuse("the tunnel token is longer than 512 bytes") }
            return credential
        }
    }

    private static func single(_ name: String, _ head: RequestHead) -> String? {
        let fields = head.fields.named(name)
        return fields.count == 1 ? fields[0].text : nil
    }

    static func isPlain(_ text: String) -> Bool {
        (1...longestLeg).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                default: "-_./".utf8.contains(byte)
                }
            }
    }
}

/// A `Bearer` credential of a request (RFC 6750, section 2.1).
package enum BearerCredential {
    /// `nil` where the field is missing. Throws for another scheme, for two fields, and for an empty or unprintable credential; the message
    /// repeats nothing of it.
    package static func read(_ head: RequestHead, field: String) throws(LegRefusal) -> String? {
        let fields = head.fields.named(field)
        guard let first = fields.first else { return nil }
        let text = first.text
        let parts = text.split(separator: " ", maxSplits: 1)
        guard fields.count == 1, parts.count == 2, parts[0].lowercased() == "bearer", parts[1].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw LegRefusal(.malformed, "\"\(field)\" must hold one credential, as \"Bearer …\"")
        }
        return String(parts[1])
    }
}
