import PosternHTTP
import PosternJSON

/// What an edge answers to the request for a leg. A refusal is written as `JSONAnswer`.
package enum LegAnswer {
    /// `101`: what follows is HTTP/2 with the edge as its client.
    /// - Parameter date: the edge's clock, as the field `Date` says it.
    package static func accepted(date: String) -> [UInt8] {
        Array("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: \(LegRequest.upgrade)\r\nDate: \(date)\r\n\r\n".utf8)
    }

    /// Whether the head says that the leg is open. Throws for a switch to something else.
    package static func isAccepted(_ head: ResponseHead) throws(LegRefusal) -> Bool {
        guard head.status == 101 else { return false }
        guard head.fields.named("upgrade").map({ $0.text.lowercased() }) == [LegRequest.upgrade] else {
            throw LegRefusal(.malformed, "the edge switches to another protocol than \(LegRequest.upgrade)")
        }
        return true
    }

    /// What a refusal says, whatever its body is.
    package static func refusal(_ head: ResponseHead, body: [UInt8]) -> LegRefusal {
        if let json = try? JSON(parsing: body), let refusal = LegRefusal(json: json) { return refusal }
        return LegRefusal(head.status >= 500 || head.status == 429 ? .unavailable : .malformed, "the edge answers with status \(head.status)")
    }
}
