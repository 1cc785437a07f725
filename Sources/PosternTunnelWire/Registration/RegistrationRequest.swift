import PosternHTTP

/// What a connector asks an edge for its tunnel's log: `GET /v1/tunnel/registrations?since=N` with the connector's key as client certificate.
package struct RegistrationRequest: Hashable, Sendable {
    package static let path = "/v1/tunnel/registrations"

    package var tunnelID: String
    package var since: Int

    package init(tunnelID: String, since: Int) {
        self.tunnelID = tunnelID
        self.since = since
    }

    /// - Parameter upgrade: `LegProof.upgrade` where the key is proved by a challenge first.
    package func encoded(host: String, upgrade: String? = nil) -> [UInt8] {
        var fields = HTTPFields()
        fields.append("Host", host)
        fields.append("Postern-Tunnel", tunnelID)
        fields.append("Connection", upgrade == nil ? "close" : "Upgrade")
        if let upgrade { fields.append("Upgrade", upgrade) }
        var output = Array("GET \(Self.path)?since=\(since) HTTP/1.1\r\n".utf8)
        fields.write(to: &output)
        return output
    }

    /// Whether the head is for a log at all, well-formed or not.
    package static func matches(_ head: RequestHead) -> Bool { head.target.prefix { $0 != UInt8(ascii: "?") }.elementsEqual(path.utf8) }

    package init(_ head: RequestHead) throws(LegRefusal) {
        guard head.method == "GET", head.body.isEmpty else { throw LegRefusal(.malformed, "\(Self.path) is asked for with GET and takes no body") }
        let fields = head.fields.named("postern-tunnel")
        guard fields.count == 1, LegRequest.isPlain(fields[0].text) else {
            throw LegRefusal(.malformed, "\"Postern-Tunnel\" must name the tunnel by its id")
        }
        let query = String(decoding: head.target.drop { $0 != UInt8(ascii: "?") }.dropFirst(), as: UTF8.self)
        guard query.hasPrefix("since="), let since = Int(query.dropFirst(6)), (0...RegistrationLedger.mostEntries).contains(since) else {
            throw LegRefusal(
                .malformed, "\(Self.path) needs since=N, the number of registrations that are known, of at most \(RegistrationLedger.mostEntries)")
        }
        self.init(tunnelID: fields[0].text, since: since)
    }
}
