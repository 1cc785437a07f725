import PosternJSON

/// One JSON-RPC message with its bytes as they came, for whoever passes it on: ids and tokens in it can be replaced, and every other byte stays.
package struct RawMessage: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case request, notification, response
        /// An error, with its code.
        case failure(code: Int)
    }

    /// What names a request, or belongs to one, and so has to be told apart between callers.
    package enum Place: Sendable, Hashable, CaseIterable {
        /// The message's own `id`.
        case id
        /// By which the progress of a request is told: in the request, and in `notifications/progress`.
        case progressToken
        /// Of the request that `notifications/cancelled` is about.
        case cancelledRequest
        /// Of the request that a message of a subscription belongs to (2026-07-28).
        case subscription
    }

    /// Values in one message at most, so that a short text does not become a large tree.
    package static let mostValues = 500_000
    /// Bytes of an id or a token as it is written: they are kept for as long as a call runs, and sent back.
    package static let longestID = 1024
    package static let subscriptionKey = "io.modelcontextprotocol/subscriptionId"
    package static let revisionKey = "io.modelcontextprotocol/protocolVersion"

    package let bytes: [UInt8]
    package let kind: Kind
    /// Empty for answers.
    package let method: String
    /// `nil` where it has none, or an error's is null.
    package let id: RequestID?
    /// `_meta` of its parameters: the revision that it is in; `nil` where it says none.
    package let revision: String?
    /// What a tool, a prompt or a resource is called in the parameters, for `Mcp-Name`.
    package let target: String?
    private let places: [Place: Range<Int>]

    package var isRequest: Bool { kind == .request }
    package var isAnswer: Bool { method.isEmpty }

    /// One message, or where `allowsBatch` is true a batch of them.
    package static func parse(_ bytes: [UInt8], allowsBatch: Bool) throws(JSONRPCMessage.Malformed) -> (messages: [RawMessage], isBatch: Bool) {
        let json: JSON
        do throws(JSONParseError) {
            json = try JSON(parsing: bytes, options: .init(maximumValues: mostValues))
        } catch {
            throw .init(reason: "it is no JSON: at byte \(error.offset)")
        }
        guard case .array(let values) = json else { return ([try RawMessage(bytes, json)], false) }
        guard allowsBatch else { throw .init(reason: "a batch, which only revision 2025-03-26 has") }
        guard (1...JSONRPCMessage.maximumBatch).contains(values.count), let spans = JSONSpans.elements(bytes, in: bytes.indices) else {
            throw .init(reason: "a batch holds 1 to \(JSONRPCMessage.maximumBatch) messages")
        }
        var messages: [RawMessage] = []
        for (span, value) in zip(spans, values) { messages.append(try RawMessage(Array(bytes[span]), value)) }
        return (messages, true)
    }

    private init(_ bytes: [UInt8], _ json: JSON) throws(JSONRPCMessage.Malformed) {
        self.bytes = bytes
        switch try JSONRPCMessage(json) {
        case .request(let id, let method, _): (kind, self.id, self.method) = (.request, id, method)
        case .notification(let method, _): (kind, id, self.method) = (.notification, nil, method)
        case .response(let id, _): (kind, self.id, method) = (.response, id, "")
        case .failure(let id, let error): (kind, self.id, method) = (.failure(code: error.code), id, "")
        }
        let params = json["params"]
        revision = params?["_meta"]?[Self.revisionKey]?.string
        target = params?[method == "resources/read" ? "uri" : "name"]?.string
        places = Self.places(bytes, method)
        guard places.values.allSatisfy({ $0.count <= Self.longestID }) else {
            throw .init(reason: "an id or a token in it has more than \(Self.longestID) bytes")
        }
    }

    private static func places(_ bytes: [UInt8], _ method: String) -> [Place: Range<Int>] {
        var places: [Place: Range<Int>] = [:]
        for (key, span) in JSONSpans.members(bytes, in: bytes.indices) {
            switch key {
            case "id": places[.id] = span
            case "params", "result":
                for (key, span) in JSONSpans.members(bytes, in: span) {
                    switch key {
                    case "progressToken" where method == "notifications/progress": places[.progressToken] = span
                    case "requestId" where method == "notifications/cancelled": places[.cancelledRequest] = span
                    case "_meta":
                        for (key, span) in JSONSpans.members(bytes, in: span) {
                            if key == "progressToken", method != "notifications/progress" { places[.progressToken] = span }
                            if key == subscriptionKey { places[.subscription] = span }
                        }
                    default: break
                    }
                }
            default: break
            }
        }
        return places
    }

    /// The bytes of what stands at `place`; `nil` where nothing does.
    package func text(_ place: Place) -> [UInt8]? { places[place].map { Array(bytes[$0]) } }

    /// What stands at `place`, read as an id or a token; `nil` where nothing of that kind does.
    package func value(_ place: Place) -> RequestID? { text(place).flatMap { try? JSON(parsing: $0) }.flatMap(RequestID.init) }

    /// The message with other bytes at some places; places that it does not have are passed over.
    package func replacing(_ texts: [Place: [UInt8]]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 32)
        var position = 0
        let spans = texts.compactMap { place, text in places[place].map { (span: $0, text: text) } }
        for (span, text) in spans.sorted(by: { $0.span.lowerBound < $1.span.lowerBound }) {
            output += bytes[position..<span.lowerBound]
            output += text
            position = span.upperBound
        }
        output += bytes[position...]
        return output
    }
}
