import NIOCore
import PosternMCP
import Synchronization

/// One caller's conversation with a server of its own, which is started when it is needed, and anew when it has ended.
final class ChildSession: Sendable {
    enum Delivery: Sendable {
        case notice([UInt8])
        case answer([UInt8], failure: Int?)
    }
    typealias Inbox = MessageQueue<Delivery>
    typealias Input = MessageQueue<[UInt8]>
    typealias Start = Awaited<Result<Input, ServerRefusal>>

    /// Bytes that wait for a reader before the child is read no further.
    private static let mostWaiting = 1 << 20

    private enum Phase {
        case none
        case starting(Start)
        case running(Input)
    }

    private struct State {
        var conversation: ServerConversation
        var handshake = ServerHandshake()
        var phase = Phase.none
        var inboxes: [Int: Inbox] = [:]
        var listener: Inbox?
        var nextStream = 1
        var backOff = RestartBackOff()
        var end: ServerRefusal?
    }

    /// Of its route's sessions, for the log. Not of its own over a reload, when two routes of that name may be there.
    let number: Int
    let era: Era
    private let state: Mutex<State>
    /// Set when the session has ended.
    let over = Awaited<Void>()
    /// Has the child started on a task of the route's.
    private let begin: @Sendable (ChildSession, Start) -> Bool
    private let seconds: @Sendable () -> Double

    init(number: Int, era: Era, seconds: @escaping @Sendable () -> Double, begin: @escaping @Sendable (ChildSession, Start) -> Bool) {
        (self.number, self.era, self.seconds, self.begin) = (number, era, seconds, begin)
        state = Mutex(State(conversation: ServerConversation(era: era)))
    }

    var hasBatches: Bool { state.withLock { $0.handshake.hasBatches } }

    // MARK: The caller's side

    /// A stream for answers.
    func open() -> (stream: Int, inbox: Inbox) {
        let inbox = Inbox(limit: Self.mostWaiting)
        let stream = state.withLock { state in
            defer { state.nextStream += 1 }
            state.inboxes[state.nextStream] = inbox
            if state.end != nil { inbox.finish() }
            return state.nextStream
        }
        return (stream, inbox)
    }

    /// Nobody reads the stream any more. What that means for its calls is the era's to say.
    func close(_ stream: Int) {
        state.withLock { state in
            state.inboxes.removeValue(forKey: stream)?.finish()
            let lines = state.conversation.left(stream: stream)
            if case .running(let input) = state.phase { for line in lines { input.push(line, bytes: line.count) } }
        }
    }

    /// Sends messages to the server, once it runs and takes them; their answers come on `stream`.
    func send(_ messages: [RawMessage], on stream: Int) async throws(ServerRefusal) {
        while true {
            let input = try await ready()
            await input.room()
            guard !Task.isCancelled else { throw ServerRefusal(408, "the caller has gone away") }
            // Between the two the child may have ended.
            if try put(messages, stream, into: input) { return }
        }
    }

    private func put(_ messages: [RawMessage], _ stream: Int, into input: Input) throws(ServerRefusal) -> Bool {
        let result: Result<Bool, ServerConversation.Refusal> = state.withLock { state in
            guard case .running(let current) = state.phase, current === input else { return .success(false) }
            do throws(ServerConversation.Refusal) {
                let lines = try state.conversation.send(messages, stream: stream)
                for message in messages { state.handshake.sent(message) }
                for line in lines { input.push(line, bytes: line.count) }
                return .success(true)
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let isSent): return isSent
        case .failure(.tooManyCalls):
            throw ServerRefusal(429, "\(ServerConversation.mostCalls) calls of this session run: wait for one to end", id: messages.first?.text(.id))
        case .failure(.notAsked): throw ServerRefusal(400, "a response to nothing that the server has asked, or not any more")
        }
    }

    /// Whether the answer to `initialize` opens the session.
    func opened(_ answer: [UInt8]) -> Bool { state.withLock { $0.handshake.answered(answer) } }

    /// The one stream for what belongs to no call; `nil` where there is one already.
    func listen() -> Inbox? {
        let inbox = Inbox(limit: Self.mostWaiting)
        return state.withLock { state in
            guard state.listener == nil else { return nil }
            state.listener = inbox
            for message in state.conversation.listened() { inbox.push(.notice(message), bytes: message.count) }
            if state.end != nil { inbox.finish() }
            return inbox
        }
    }

    func stopListening(_ inbox: Inbox) {
        state.withLock { state in
            guard state.listener === inbox else { return }
            state.listener = nil
            state.conversation.unlistened()
        }
        inbox.finish()
    }

    /// Ends the session and its child; what runs is answered with why. Idempotent.
    func end(_ reason: ServerRefusal) {
        state.withLock { state in
            guard state.end == nil else { return }
            state.end = reason
            fail(&state, reason.error)
            for inbox in state.inboxes.values { inbox.finish() }
            state.listener?.finish()
        }
        over.set(())
    }

    private func fail(_ state: inout State, _ error: RPCError) {
        for (stream, bytes) in state.conversation.ended(error) {
            state.inboxes[stream]?.push(.answer(bytes, failure: error.code), bytes: bytes.count)
        }
    }

    // MARK: The child

    private func ready() async throws(ServerRefusal) -> Input {
        enum Step {
            case go(Input)
            case wait(Start)
            case begin(Start)
            case refuse(ServerRefusal)
        }
        let step: Step = state.withLock { state in
            if let end = state.end { return .refuse(end) }
            switch state.phase {
            case .running(let input): return .go(input)
            case .starting(let start): return .wait(start)
            case .none:
                let wait = state.backOff.wait(at: seconds())
                guard wait <= 0 else {
                    return .refuse(
                        ServerRefusal(
                            503, "the server of this route ends again and again; it is started again in \(Int(wait.rounded(.up))) s",
                            retryAfter: Int(wait.rounded(.up))))
                }
                let start = Start()
                state.phase = .starting(start)
                return .begin(start)
            }
        }
        let start: Start
        switch step {
        case .go(let input): return input
        case .refuse(let refusal): throw refusal
        case .wait(let waited): start = waited
        case .begin(let begun):
            start = begun
            if !begin(self, begun) { start.set(.failure(ServerRefusal(503, "the connector is ending"))) }
        }
        guard let result = await start.get() else { throw ServerRefusal(408, "the caller has gone away") }
        return try result.get()
    }

    /// The child runs, and is told what opened the session if it is not the first. Throws where it does not take that up.
    func started(_ input: Input, _ start: Start) async throws(ServerRefusal) {
        let replay: (stream: Int, inbox: Inbox, second: RawMessage?)? = state.withLock { state in
            guard state.handshake.isDone, let replay = state.handshake.replay else { return nil }
            let inbox = Inbox(limit: Self.mostWaiting)
            let stream = state.nextStream
            state.nextStream += 1
            state.inboxes[stream] = inbox
            guard let lines = try? state.conversation.send([replay.first], stream: stream) else { return nil }
            for line in lines { input.push(line, bytes: line.count) }
            return (stream, inbox, replay.second)
        }
        if let replay {
            defer { close(replay.stream) }
            guard let answer = await Self.answer(on: replay.inbox) else { throw ServerRefusal(502, "the server ended before it was ready") }
            let isSame = state.withLock { $0.handshake.isSame(answer) }
            guard isSame else { throw ServerRefusal(404, "the server came back as another one: begin with initialize") }
            if let second = replay.second { input.push(second.bytes, bytes: second.bytes.count) }
        }
        state.withLock { $0.phase = .running(input) }
        start.set(.success(input))
    }

    /// The next answer; other messages before it are passed over.
    static func answer(on inbox: Inbox) async -> [UInt8]? {
        while true {
            switch await inbox.next() {
            case .element(.answer(let bytes, _)): return bytes
            case .element(.notice), .nudge: continue
            case .end: return nil
            }
        }
    }

    /// The child has ended, or did not start; it lived for that many seconds.
    func childEnded(_ start: Start, _ refusal: ServerRefusal, lived: Double) {
        state.withLock { state in
            state.phase = .none
            state.backOff.ended(at: seconds(), lived: lived)
            fail(&state, refusal.error)
        }
        start.set(.failure(refusal))
    }

    /// Passes on what the child wrote, as fast as it is read. False for what nobody waits for.
    func received(_ message: RawMessage, _ input: Input) async -> Bool {
        let (output, inbox): (ServerConversation.Output, Inbox?) = state.withLock { state in
            let output = state.conversation.received(message)
            switch output {
            case .answer(let stream, _, _), .notice(let stream, _): return (output, state.inboxes[stream])
            case .listener: return (output, state.listener)
            case .server, .kept, .stray: return (output, nil)
            }
        }
        switch output {
        case .server(let line):
            // One that asks and asks, and reads nothing, is not read on either.
            await input.room()
            input.push(line, bytes: line.count)
        case .kept: break
        case .stray: return false
        case .answer(_, let bytes, let failure):
            await inbox?.room()
            inbox?.push(.answer(bytes, failure: failure), bytes: bytes.count)
        case .notice(_, let bytes), .listener(let bytes):
            await inbox?.room()
            inbox?.push(.notice(bytes), bytes: bytes.count)
        }
        return true
    }
}
