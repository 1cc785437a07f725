import PosternJSON

/// One stdio server behind many requests of one caller: each gets an id of its own on the way in, so that no two collide, and its answer the
/// caller's id again, byte by byte, on the way out. A value without I/O.
package struct ServerConversation: Sendable {
    /// Calls at one time, those included whose callers have gone away.
    package static let mostCalls = 256
    /// What is kept while nobody listens, in messages and in bytes.
    package static let mostKept = 64
    package static let mostKeptBytes = 1 << 20

    /// Where something goes.
    package enum Output: Sendable, Equatable {
        case server([UInt8])
        /// An answer to a request of that stream.
        case answer(stream: Int, [UInt8], failure: Int?)
        /// Something else for whoever reads that stream.
        case notice(stream: Int, [UInt8])
        /// For the caller's stream of its own.
        case listener([UInt8])
        /// Nobody listens now; who listens next gets it.
        case kept
        /// Nobody waits for it any more, or it answers nothing that was asked.
        case stray
    }

    /// Why a request does not go to the server.
    package enum Refusal: Error, Sendable, Hashable {
        case tooManyCalls
        /// A response to nothing that the server has asked, or not any more.
        case notAsked
    }

    private struct Call {
        /// `nil` where the caller has gone away.
        var stream: Int?
        var id: RequestID?
        var idText: [UInt8]
        var token: [UInt8]?
        var isCancelled = false
        var canBeCancelled: Bool
    }

    private let era: Era
    private var calls: [Int64: Call] = [:]
    /// The server's own requests that wait for the caller's response, with the server's ids.
    private var asked: [Int64: [UInt8]] = [:]
    private var nextNumber: Int64 = 1
    private var kept: [(bytes: [UInt8], number: Int64?)] = []
    private var keptBytes = 0
    private var isHeard = false

    package init(era: Era) { self.era = era }

    package var runningCalls: Int { calls.count }

    // MARK: From the caller

    /// What goes to the server for messages that came together; their answers go to `stream`.
    package mutating func send(_ messages: [RawMessage], stream: Int) throws(Refusal) -> [[UInt8]] {
        guard calls.count + messages.count(where: \.isRequest) <= Self.mostCalls else { throw .tooManyCalls }
        var lines: [[UInt8]] = []
        for message in messages {
            switch message.kind {
            case .request: lines.append(call(message, stream))
            case .notification: if let line = notification(message) { lines.append(line) }
            case .response, .failure:
                guard case .number(let number)? = message.id, let text = asked.removeValue(forKey: number) else {
                    // One among others is passed over; alone it is told.
                    guard messages.count > 1 else { throw .notAsked }
                    continue
                }
                lines.append(message.replacing([.id: text]))
            }
        }
        return lines
    }

    private mutating func take() -> Int64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    private mutating func call(_ message: RawMessage, _ stream: Int) -> [UInt8] {
        let number = take()
        let text = Array(String(number).utf8)
        calls[number] = Call(
            stream: stream, id: message.id, idText: message.text(.id) ?? [], token: message.text(.progressToken),
            canBeCancelled: message.method != "initialize")
        return message.replacing([.id: text, .progressToken: text])
    }

    /// `nil` where it does not concern the server.
    private mutating func notification(_ message: RawMessage) -> [UInt8]? {
        guard message.method == "notifications/cancelled" else { return message.bytes }
        // Of a caller that closes streams instead, whose ids need not be its own alone.
        guard era == .handshake, let id = message.value(.cancelledRequest) else { return nil }
        // The newest, should an id have been used twice.
        let numbers = calls.filter { $0.value.id == id && $0.value.canBeCancelled && !$0.value.isCancelled }.keys
        guard let number = numbers.max() else { return nil }
        calls[number]?.isCancelled = true
        return message.replacing([.cancelledRequest: Array(String(number).utf8)])
    }

    /// The reader of `stream` has gone away. Only since 2026-07-28 does that end its calls (basic protocol, "Cancellation"): the server is told so.
    package mutating func left(stream: Int) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for (number, call) in calls.sorted(by: { $0.key < $1.key }) where call.stream == stream {
            calls[number]?.stream = nil
            guard era == .modern, call.canBeCancelled, !call.isCancelled else { continue }
            calls[number]?.isCancelled = true
            lines.append(JSONRPCMessage.cancelled(.number(number)).encoded)
        }
        return lines
    }

    // MARK: From the server

    package mutating func received(_ message: RawMessage) -> Output {
        switch message.kind {
        case .response, .failure: answer(message)
        case .request: request(message)
        case .notification: notice(message)
        }
    }

    private mutating func answer(_ message: RawMessage) -> Output {
        guard case .number(let number)? = message.id, let call = calls.removeValue(forKey: number), let stream = call.stream else { return .stray }
        let code: Int? = if case .failure(let code) = message.kind { code } else { nil }
        return .answer(stream: stream, message.replacing([.id: call.idText, .subscription: call.idText]), failure: code)
    }

    /// The server asks its caller something. Since 2026-07-28 there is no such thing.
    private mutating func request(_ message: RawMessage) -> Output {
        guard let id = message.id, let text = message.text(.id) else { return .stray }
        func refused(_ code: Int, _ reason: String) -> Output {
            .server(JSONRPCMessage.failure(id: id, error: RPCError(code: code, message: reason)).encoded)
        }
        guard era == .handshake else { return refused(RPCError.methodNotFound, "there are no requests to clients in revision 2026-07-28") }
        guard asked.count < Self.mostCalls else { return refused(503, "too many requests wait for the client's response") }
        let number = take()
        asked[number] = text
        let output = unasked(message.replacing([.id: Array(String(number).utf8)]), number: number)
        guard let output else {
            asked[number] = nil
            return refused(503, "nobody reads what the client is asked")
        }
        return output
    }

    private mutating func notice(_ message: RawMessage) -> Output {
        switch message.method {
        case "notifications/progress": return related(message, .progressToken)
        case "notifications/cancelled":
            guard let id = message.text(.cancelledRequest), let number = asked.first(where: { $0.value == id })?.key else { return .stray }
            asked[number] = nil
            return unasked(message.replacing([.cancelledRequest: Array(String(number).utf8)]), number: nil) ?? .stray
        default:
            if message.text(.subscription) != nil { return related(message, .subscription) }
            return unasked(message.bytes, number: nil) ?? .stray
        }
    }

    /// What names the call that it belongs to goes where the answer will go.
    private func related(_ message: RawMessage, _ place: RawMessage.Place) -> Output {
        guard case .number(let number)? = message.value(place), let call = calls[number], let stream = call.stream else { return .stray }
        guard let text = place == .subscription ? call.idText : call.token else { return .stray }
        return .notice(stream: stream, message.replacing([place: text]))
    }

    /// What names no call: where one stream waits, it is that one's. Otherwise it is the listener's, or is kept for one.
    private mutating func unasked(_ bytes: [UInt8], number: Int64?) -> Output? {
        let streams = Set(calls.values.compactMap { $0.canBeCancelled ? $0.stream : nil })
        if streams.count == 1, let stream = streams.first { return .notice(stream: stream, bytes) }
        // Callers with one identity need not know of one another.
        guard era == .handshake else { return nil }
        if isHeard { return .listener(bytes) }
        if let stream = streams.min(), number != nil { return .notice(stream: stream, bytes) }
        return keep(bytes, number)
    }

    private mutating func keep(_ bytes: [UInt8], _ number: Int64?) -> Output? {
        guard bytes.count <= Self.mostKeptBytes else { return nil }
        while kept.count >= Self.mostKept || keptBytes + bytes.count > Self.mostKeptBytes {
            // A request is never forgotten: its server would wait for ever.
            guard let index = kept.firstIndex(where: { $0.number == nil }) else { return nil }
            keptBytes -= kept.remove(at: index).bytes.count
        }
        kept.append((bytes, number))
        keptBytes += bytes.count
        return .kept
    }

    // MARK: The listener

    /// Somebody listens from now on; what was kept, first.
    package mutating func listened() -> [[UInt8]] {
        isHeard = true
        defer { (kept, keptBytes) = ([], 0) }
        return kept.filter { $0.number.map { asked[$0] != nil } ?? true }.map(\.bytes)
    }

    package mutating func unlistened() { isHeard = false }

    // MARK: The end

    /// The server has ended: what each waiting caller is told instead of an answer.
    package mutating func ended(_ error: RPCError) -> [(stream: Int, bytes: [UInt8])] {
        defer { (calls, asked, kept, keptBytes) = ([:], [:], [], 0) }
        return calls.sorted { $0.key < $1.key }.compactMap { _, call in
            call.stream.map { ($0, Self.failure(id: call.idText, error)) }
        }
    }

    /// An error with an id as it came.
    package static func failure(id: [UInt8]?, _ error: RPCError) -> [UInt8] {
        let whole = JSONRPCMessage.failure(id: .number(0), error: error).encoded
        guard let message = try? RawMessage.parse(whole, allowsBatch: false).messages.first else { return whole }
        return message.replacing([.id: id ?? Array("null".utf8)])
    }
}
