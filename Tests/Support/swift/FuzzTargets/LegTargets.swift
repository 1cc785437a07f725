import PosternHTTP
import PosternJSON
import PosternTLS
import PosternTunnelWire

/// What an edge reads before anybody has shown who he is, and what a connector reads of an edge.
extension FuzzTarget {
    static let clientHello = FuzzTarget("client-hello", seeds: ClientHelloSeeds.all) { bytes in
        let whole = reading { (reader: inout ClientHelloReader) throws(ClientHelloError) in try reader.feed(bytes) }
        let pieces = reading { (reader: inout ClientHelloReader) throws(ClientHelloError) in
            for piece in bytes.pieces {
                if let hello = try reader.feed(piece) { return hello }
            }
            return nil
        }
        try hold(whole == pieces, "a ClientHello is read otherwise in pieces: \(whole), \(pieces)")
        if case .success(let hello?) = whole, let name = hello.serverName {
            try hold(name == name.lowercased() && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "the server name \(name) is not plain")
        }
    }

    private static func reading(
        _ read: (inout ClientHelloReader) throws(ClientHelloError) -> ClientHello?
    ) -> Result<ClientHello?, ClientHelloError> {
        var reader = ClientHelloReader()
        do throws(ClientHelloError) { return .success(try read(&reader)) } catch { return .failure(error) }
    }

    static let legRequest = FuzzTarget(
        "leg-request",
        seeds: [
            LegRequest(tunnelID: "tnl_1", leg: "host-a/0", version: "1.2.3", token: nil).encoded(host: "tunnel.example.com"),
            LegRequest(tunnelID: "tnl_1", leg: "host-a/3", version: "1.2.3", token: "secret").encoded(host: "tunnel.example.com"),
            Array("POST /v1/tunnel/connect HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: postern-leg/1, h2c\r\n\r\n".utf8),
        ]
    ) { bytes in
        guard let head = request(bytes), LegRequest.matches(head), let leg = try? LegRequest(head) else { return }
        guard let again = request(leg.encoded(host: "edge")) else { throw FuzzFailure(description: "a request for a leg cannot be written again") }
        try hold(try LegRequest(again) == leg, "a request for a leg changes when it is written again: \(leg)")
    }

    static let legAnswer = FuzzTarget(
        "leg-answer",
        seeds: [
            LegAnswer.accepted(date: "Sun, 06 Nov 1994 08:49:37 GMT"),
            JSONAnswer.encoded(status: 403, json: ["reason": "not_enrolled", "message": "x"]),
            JSONAnswer.encoded(status: 503, json: [:], fields: [("Retry-After", "3")]),
        ]
    ) { bytes in
        var reader = HeadReader()
        guard let (lines, rest) = try? reader.feed(bytes), let head = try? ResponseHead(lines: lines) else { return }
        guard let accepted = try? LegAnswer.isAccepted(head) else { return }
        try hold(!accepted || head.status == 101, "a leg is open by status \(head.status)")
        let refusal = LegAnswer.refusal(head, body: Array(rest.prefix(JSONAnswer.longestRefusal)))
        // It goes to a log.
        try hold(!refusal.description.isEmpty, "a refusal says nothing")
    }

    static let connectTarget = FuzzTarget(
        "connect-target",
        seeds: ["docs.ab12cd34.tunnel.example.com:443", "DOCS.example.com:443", "a:80", "[::1]:443", "1.2.3.4:443", "a..b:443"].map { Array($0.utf8) }
    ) { bytes in
        guard let host = ConnectTarget.host(bytes) else { return }
        try hold(ConnectTarget.host(Array(ConnectTarget.text(host).utf8)) == host, "the target \(host) changes when it is written again")
        try hold(host.utf8.count <= 253 && HostName.canonical(host) == host, "the target's host \(host) is not canonical")
        if let tunnel = TunnelHost(host) { try hold(tunnel.name == host, "the host \(host) is not what route and domain give") }
    }

    static func request(_ bytes: [UInt8]) -> RequestHead? {
        var reader = HeadReader()
        guard let lines = try? reader.feed(bytes)?.lines else { return nil }
        return try? RequestHead(lines: lines)
    }
}

/// Written byte by byte, since no client writes wrong ones.
private enum ClientHelloSeeds {
    static var all: [[UInt8]] {
        let hello = record(message([extension0("docs.ab12cd34.tunnel.example.com")]))
        let modern = message([(0x2A2A, []), (0xFE0D, Array(repeating: 7, count: 60)), extension0("tunnel.example.com"), (43, [3, 4, 3, 3, 3])])
        return [
            hello, record(modern), record(Array(modern.prefix(3))) + record(Array(modern.dropFirst(3))), record(message([])),
            record(message([extension0("a"), extension0("b")])), [22, 3, 1, 0, 0], [22, 3, 3, 0x40, 1], Array("GET / HTTP/1.1\r\n\r\n".utf8),
        ]
    }

    private static func vector(_ width: Int, _ bytes: [UInt8]) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * (width - 1 - $0))) } + bytes
    }

    private static func extension0(_ name: String) -> (UInt16, [UInt8]) { (0, vector(2, [0] + vector(2, Array(name.utf8)))) }

    private static func message(_ extensions: [(UInt16, [UInt8])]) -> [UInt8] {
        var body: [UInt8] = [3, 3] + Array(repeating: 5, count: 32) + vector(1, Array(repeating: 6, count: 32))
        body += vector(2, [0x13, 0x01]) + vector(1, [0])
        body += vector(2, extensions.flatMap { [UInt8($0.0 >> 8), UInt8(truncatingIfNeeded: $0.0)] + vector(2, $0.1) })
        return [1] + vector(3, body)
    }

    private static func record(_ message: [UInt8]) -> [UInt8] { [22, 3, 1] + vector(2, message) }
}
