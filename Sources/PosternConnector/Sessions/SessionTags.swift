import Crypto
import PosternHTTP
import PosternTunnelWire

/// Binds the ids of MCP sessions to callers: towards a caller an id carries a tag over route and caller that the connector alone can make, so
/// that an id is nothing in the hands of another one. It keeps nothing: an id counts after a restart, and at every connector with the same key.
struct SessionTags: Sendable {
    let key: SymmetricKey
    let route: String
    /// Ids of events that callers were shown.
    let events: EventMemory

    static let header = "mcp-session-id"
    static let eventHeader = "last-event-id"
    private static let tagBytes = 16

    /// An id of the upstream as its caller gets to see it.
    func tagged(_ id: [UInt8], for caller: CallerSubject) -> [UInt8] { id + [UInt8(ascii: ".")] + Hexadecimal.text(tag(id, caller)).utf8 }

    /// The upstream's id in one that a caller gives back; `nil` where it was not made for that caller.
    func id(of tagged: [UInt8], from caller: CallerSubject) -> [UInt8]? {
        let length = Self.tagBytes * 2
        guard tagged.count > length, tagged[tagged.count - length - 1] == UInt8(ascii: ".") else { return nil }
        let id = Array(tagged.dropLast(length + 1))
        let expected = Array(Hexadecimal.text(tag(id, caller)).utf8)
        // In constant time.
        let difference = zip(expected, tagged.suffix(length)).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) }
        return difference == 0 ? id : nil
    }

    private func tag(_ id: [UInt8], _ caller: CallerSubject) -> [UInt8] {
        // The name of a route has at most 63 bytes, and a caller's text ends by itself.
        let said = [UInt8(truncatingIfNeeded: route.utf8.count)] + route.utf8 + caller.bytes + id
        return Array(HMAC<SHA256>.authenticationCode(for: said, using: key).prefix(Self.tagBytes))
    }

    /// What a request says of its session, with the upstream's id in place of the tagged one. Gives that id. Throws 404 for what was made for
    /// another caller, so that a client begins a session of its own, and 400 for what has two readings.
    func open(_ fields: inout HTTPFields, from caller: CallerSubject) throws(HTTPRefusal) -> [UInt8]? {
        var session: [UInt8]?
        if let index = try Self.only(Self.header, fields) {
            guard let id = id(of: fields.all[index].value, from: caller) else {
                throw HTTPRefusal(404, "no session of this caller has that Mcp-Session-Id: begin one with initialize")
            }
            session = id
            fields.all[index] = HTTPField(fields.all[index].name, id)
        }
        if let index = try Self.only(Self.eventHeader, fields) {
            guard events.knows(fields.all[index].value, caller: caller, session: session) else {
                throw HTTPRefusal(404, "this connector has shown this caller no event with that Last-Event-ID: begin a session with initialize")
            }
        }
        return session
    }

    /// The place of the one field of that name, which some server may take another spelling for.
    private static func only(_ name: String, _ fields: HTTPFields) throws(HTTPRefusal) -> Int? {
        let places = fields.all.indices.filter { fields.all[$0].spelling == name }
        guard let first = places.first else { return nil }
        guard places.count == 1, fields.all[first].key == name else { throw HTTPRefusal("the header \(name) stands twice, or has a look-alike") }
        return first
    }

    /// The head of an answer with the tagged id in place of the upstream's. Gives the upstream's.
    func close(_ head: inout ResponseHead, for caller: CallerSubject) throws(CallError) -> [UInt8]? {
        let places = head.fields.all.indices.filter { head.fields.all[$0].spelling == Self.header }
        guard let first = places.first else { return nil }
        let id = head.fields.all[first].value
        guard places.count == 1, head.fields.all[first].key == Self.header, !id.isEmpty, id.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .upstreamAnswer("the upstream's answer has an Mcp-Session-Id that is not one id in visible ASCII")
        }
        head.fields.all[first] = HTTPField(head.fields.all[first].name, tagged(id, for: caller))
        return id
    }
}
