import ManagedAgentsClient
import PosternJSON
import PosternMCP
import SeededRandom
import Testing

@Suite struct HTTPExchangeTests {
    private static let id = RequestID.number(7)
    private static let answer = JSONRPCMessage.response(id: id, result: ["ok": true])
    private static let json = HTTPExchange.Head(status: 200, contentType: "application/json; charset=utf-8")
    private static let stream = HTTPExchange.Head(status: 200, contentType: "Text/Event-Stream")

    private func exchange(_ revision: Revision? = .november2025, session: Bool = false, limit: Int = 1 << 20) -> HTTPExchange {
        var settings = HTTPExchange.Settings(id: Self.id, revision: revision)
        settings.hasSession = session
        settings.messageLimit = limit
        return HTTPExchange(settings)
    }

    private static func event(_ message: JSONRPCMessage, id: String? = nil) -> String {
        (id.map { "id: \($0)\n" } ?? "") + "event: message\ndata: \(message.json.text)\n\n"
    }

    // MARK: - JSON

    @Test func aJSONAnswer() {
        var exchange = exchange()
        #expect(exchange.receive(.head(Self.json)).next == .collect(limit: 1 << 20))
        #expect(exchange.receive(.body(Self.answer.encoded)).next == .finish(.success(["ok": true])))
    }

    @Test(arguments: [
        ("{", true), (#"{"jsonrpc":"2.0","id":8,"result":{}}"#, true), (#"{"jsonrpc":"2.0","id":"7","result":{}}"#, true),
        (#"{"jsonrpc":"2.0","method":"x"}"#, true), (#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#, true),
        (#"{"jsonrpc":"2.0","id":7,"result":{}}"#, false),
    ])
    func anAnswerThatIsNoneOrAnothersIsMalformed(body: String, isMalformed: Bool) {
        var exchange = exchange()
        _ = exchange.receive(.head(Self.json))
        guard case .finish(let result) = exchange.receive(.body(Array(body.utf8))).next else {
            Issue.record("not finished")
            return
        }
        if case .failure(.malformed) = result { #expect(isMalformed, "\(body)") } else { #expect(!isMalformed, "\(body)") }
    }

    @Test func anErrorIsTheServersWord() {
        for (status, id) in [(200, Self.id), (200, nil), (400, Self.id), (404, nil), (400, .text("server-error"))] as [(Int, RequestID?)] {
            var exchange = exchange()
            _ = exchange.receive(.head(HTTPExchange.Head(status: status, contentType: "application/json")))
            let error = RPCError(code: -32601, message: "no")
            #expect(exchange.receive(.body(JSONRPCMessage.failure(id: id, error: error).encoded)).next == .finish(.failure(.server(error))))
        }
    }

    // MARK: - Statuses

    @Test func withoutATokenNothingWasDoneUnlessTheStreamHadBegun() {
        let problem = OAuthProblem(.denied, "no")
        var first = exchange()
        #expect(first.receive(.noToken(problem)).next == .finish(.failure(.oauth(problem))))
        var resumed = exchange()
        _ = resumed.receive(.head(Self.stream))
        _ = resumed.receive(.bytes(Array("id: 1\ndata:\n\n".utf8)))
        _ = resumed.receive(.end)
        guard case .finish(.failure(.outcomeUnknown)) = resumed.receive(.noToken(problem)).next else {
            Issue.record("the call may have run")
            return
        }
    }

    @Test func statusesBecomeErrorsThatSayWhatToDo() {
        func error(_ head: HTTPExchange.Head, session: Bool = false, revision: Revision? = .november2025, body: String = "") -> MCPError? {
            var exchange = exchange(revision, session: session)
            var next = exchange.receive(.head(head)).next
            if case .collect = next { next = exchange.receive(.body(Array(body.utf8))).next }
            guard case .finish(.failure(let error)) = next else { return nil }
            return error
        }
        let challenge = BearerChallenge(error: "insufficient_scope", scope: "a b", resourceMetadata: "https://x/.well-known/y")
        #expect(error(.init(status: 401, contentType: "", challenge: challenge)) == .unauthorized(challenge, hasToken: false))
        #expect(error(.init(status: 403, contentType: "", challenge: challenge)) == .insufficientScope(challenge))
        #expect(error(.init(status: 403, contentType: "", challenge: BearerChallenge(scope: "a"))) == .insufficientScope(BearerChallenge(scope: "a")))
        let invalid = BearerChallenge(error: "invalid_token", scope: "a")
        #expect(error(.init(status: 403, contentType: "", challenge: invalid)) == .status(403, ""), "it does not say that the token is valid")
        #expect(error(.init(status: 403, contentType: "text/plain"), body: "Invalid\n Origin") == .status(403, "Invalid Origin"))
        #expect(error(.init(status: 404, contentType: ""), session: true) == .sessionLost)
        #expect(error(.init(status: 404, contentType: ""), session: false) == .status(404, ""))
        #expect(error(.init(status: 404, contentType: ""), session: true, revision: .july2026) == .status(404, ""))
        #expect(error(.init(status: 307, contentType: "", location: "https://y/")) == .redirected(status: 307, location: "https://y/"))
        guard case .malformed? = error(.init(status: 202, contentType: "")) else {
            Issue.record("202 to a request")
            return
        }
        guard case .malformed? = error(.init(status: 200, contentType: "text/html")) else {
            Issue.record("a page for an answer")
            return
        }
    }

    /// What a connector refuses has not run only where it says that nothing was sent, or where its reason never comes after that.
    @Test(arguments: [
        (504, #"{"reason":"upstream_timeout","sent":true}"#, true), (502, #"{"reason":"upstream_timeout","sent":false}"#, false),
        (502, #"{"reason":"answer_too_large","sent":true}"#, true), (429, #"{"reason":"answer_budget","sent":false}"#, false),
        (403, #"{"reason":"no_longer_allowed","sent":true}"#, true), (502, #"{"reason":"upstream_connection","sent":false}"#, false),
        // Whatever reason stands beside it.
        (403, #"{"reason":"policy","sent":true}"#, true), (403, #"{"reason":"policy","sent":"no"}"#, true),
        (403, #"{"reason":"policy","sent":0}"#, true),
        // A connector that does not say it.
        (502, #"{"reason":"upstream_answer"}"#, true), (502, #"{"reason":"upstream_connection"}"#, true), (503, #"{"reason":"audit_failed"}"#, true),
        (400, #"{"reason":"malformed_request"}"#, true), (503, #"{"reason":"made_up_later"}"#, true), (503, "{}", true), (503, "", true),
        (503, "[", true),
        (403, #"{"reason":"caller_not_allowed"}"#, false), (503, #"{"reason":"registration_fork"}"#, false),
        (415, #"{"error":{"data":{"reason":"policy"},"message":"no"}}"#, false),
    ])
    func aConnectorsRefusalIsNoneOnceTheRequestMayHaveGone(status: Int, body: String, isUnknown: Bool) {
        for session in [false, true] {
            var exchange = exchange(session: session)
            let head = HTTPExchange.Head(status: status, contentType: "application/json", isConnectors: true)
            #expect(exchange.receive(.head(head)).next == .collect(limit: 64 << 10))
            switch exchange.receive(.body(Array(body.utf8))).next {
            case .finish(.failure(.outcomeUnknown)): #expect(isUnknown, "\(body)")
            case .finish(.failure(.connector)): #expect(!isUnknown, "\(body)")
            case let other: Issue.record("\(body): \(other)")
            }
        }
    }

    /// Nothing is known of what a connector meant whose words did not come.
    @Test(arguments: [HTTPExchange.Input.bodyTooLarge, .broken(.broken("x"))]) func aConnectorsAnswerThatIsNotWhole(input: HTTPExchange.Input) {
        var exchange = exchange()
        _ = exchange.receive(.head(.init(status: 504, contentType: "application/json", isConnectors: true)))
        guard case .finish(.failure(.outcomeUnknown)) = exchange.receive(input).next else {
            Issue.record("\(input)")
            return
        }
    }

    @Test func aSessionThatTheConnectorDoesNotKnowIsLost() {
        func error(session: Bool, revision: Revision, _ body: String) -> MCPError? {
            var exchange = exchange(revision, session: session)
            _ = exchange.receive(.head(.init(status: 404, contentType: "application/json", isConnectors: true)))
            guard case .finish(.failure(let error)) = exchange.receive(.body(Array(body.utf8))).next else { return nil }
            return error
        }
        let unknown = #"{"reason":"unknown_session","sent":false}"#
        #expect(error(session: true, revision: .november2025, unknown) == .sessionLost)
        for (session, revision, body) in [
            (false, Revision.november2025, unknown), (true, .july2026, unknown),
            (true, .november2025, #"{"reason":"route_not_opened","sent":false}"#),
        ] {
            guard case .connector? = error(session: session, revision: revision, body) else {
                Issue.record("\(session) \(revision) \(body)")
                continue
            }
        }
        guard case .outcomeUnknown? = error(session: true, revision: .november2025, #"{"reason":"unknown_session","sent":true}"#) else {
            Issue.record("a request that has gone is sent again")
            return
        }
    }

    /// The connector's word is of the request for the rest, and not of the one that has gone.
    @Test(arguments: [401, 403]) func aRestThatTheConnectorRefusesIsAnOutcomeThatIsNotKnown(status: Int) {
        var exchange = exchange(session: true)
        _ = exchange.receive(.head(Self.stream))
        _ = exchange.receive(.bytes(Array("id: 1\ndata: \n\n".utf8)))
        _ = exchange.receive(.end)
        guard case .finish(.failure(.outcomeUnknown)) = exchange.receive(.head(.init(status: status, contentType: "", isConnectors: true))).next
        else {
            Issue.record("HTTP \(status)")
            return
        }
    }

    @Test func sizesAreBounded() {
        var json = exchange(limit: 10)
        #expect(json.receive(.head(Self.json)).next == .collect(limit: 10))
        #expect(json.receive(.bodyTooLarge).next == .finish(.failure(.tooLarge("the answer", limit: 10))))
        var stream = exchange(limit: 10)
        _ = stream.receive(.head(Self.stream))
        #expect(stream.receive(.bytes(Array("data: 12345678".utf8))).next == .finish(.failure(.tooLarge("an event", limit: 10))))
        var error = exchange()
        #expect(error.receive(.head(.init(status: 500, contentType: ""))).next == .collect(limit: 64 << 10))
        #expect(error.receive(.bodyTooLarge).next == .finish(.failure(.status(500, ""))))
    }

    // MARK: - Streams

    private static let notice = JSONRPCMessage.notification(method: "notifications/progress", params: ["progress": 1, "progressToken": 7])
    private static let question = JSONRPCMessage.request(id: .text("q"), method: "ping", params: nil)
    private static let text =
        ": hello\r\n\r\nid: e1\r\ndata:\r\n\r\n" + event(notice, id: "e2").replacing("\n", with: "\r") + event(.response(id: .number(9), result: [:]))
        + "event: ping\ndata: {}\n\nretry: 80\n" + event(question) + event(answer, id: "e3") + event(notice)

    private func run(_ pieces: [[UInt8]]) -> ([JSONRPCMessage], HTTPExchange.Next) {
        var exchange = exchange()
        var messages: [JSONRPCMessage] = []
        _ = exchange.receive(.head(Self.stream))
        for piece in pieces {
            let reaction = exchange.receive(.bytes(piece))
            messages += reaction.messages
            if case .finish = reaction.next { return (messages, reaction.next) }
        }
        return (messages, exchange.receive(.end).next)
    }

    @Test func everySplitOfAStreamGivesTheSame() {
        let bytes = Array(Self.text.utf8)
        for split in 0...bytes.count {
            let (messages, next) = run([Array(bytes[..<split]), Array(bytes[split...])])
            #expect(messages == [Self.notice, Self.question] && next == .finish(.success(["ok": true])), "split at \(split)")
        }
        for seed in 0..<200 {
            var random = SeededGenerator(seed: UInt64(seed))
            var pieces: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...9, using: &random)
                pieces.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let (messages, next) = run(pieces)
            #expect(messages == [Self.notice, Self.question] && next == .finish(.success(["ok": true])), "seed \(seed)")
        }
    }

    /// Wherever the stream is cut, it is taken up after the last whole event, or given up: the answer is never made up.
    @Test func everyCutIsTakenUpWhereItBroke() {
        let bytes = Array(Self.text.utf8)
        for cut in 0..<bytes.count {
            var exchange = exchange()
            _ = exchange.receive(.head(Self.stream))
            let reaction = exchange.receive(.bytes(Array(bytes[..<cut])))
            if case .finish(let result) = reaction.next {
                #expect(result == .success(["ok": true]))
                continue
            }
            let seen = String(decoding: bytes[..<cut], as: UTF8.self)
            let expected = seen.contains("\r\r") ? "e2" : seen.contains("data:\r\n\r\n") || seen.hasSuffix("data:\r\n\r") ? "e1" : nil
            switch exchange.receive(.broken(.broken("cut"))).next {
            case .resume(let lastEventID, let delay):
                #expect(lastEventID == expected, "cut at \(cut)")
                #expect(delay == (seen.contains("retry: 80\n") ? .milliseconds(80) : .seconds(1)))
                #expect(exchange.receive(.head(Self.stream)).next == .read)
                #expect(exchange.receive(.bytes(Array(Self.event(Self.answer).utf8))).next == .finish(.success(["ok": true])))
            case .finish(.failure(.outcomeUnknown)): #expect(expected == nil, "cut at \(cut)")
            case let other: Issue.record("cut at \(cut): \(other)")
            }
        }
    }

    @Test func theNewerEraTakesNoStreamUp() {
        var exchange = exchange(.july2026)
        _ = exchange.receive(.head(Self.stream))
        _ = exchange.receive(.bytes(Array("id: 1\ndata: \n\n".utf8)))
        guard case .finish(.failure(.outcomeUnknown)) = exchange.receive(.end).next else {
            Issue.record("taken up")
            return
        }
    }

    @Test func aStreamIsNotAskedForForEver() {
        var exchange = exchange()
        _ = exchange.receive(.head(Self.stream))
        _ = exchange.receive(.bytes(Array("retry: 999999999\nid: 1\ndata: \n\n".utf8)))
        var asked = 0
        var next = exchange.receive(.end).next
        while case .resume(_, let delay) = next {
            #expect(delay == .seconds(60))
            asked += 1
            next = exchange.receive(asked.isMultiple(of: 2) ? .broken(.connection("x")) : .head(.init(status: 503, contentType: ""))).next
        }
        guard case .finish(.failure(.outcomeUnknown)) = next else {
            Issue.record("\(next)")
            return
        }
        #expect(asked == 5)
    }

    @Test(arguments: [401, 403, 404, 405, 400, 409]) func aRestThatIsNotGivenIsAnOutcomeThatIsNotKnown(status: Int) {
        var exchange = exchange(session: true)
        _ = exchange.receive(.head(Self.stream))
        _ = exchange.receive(.bytes(Array("id: 1\ndata: \n\n".utf8)))
        _ = exchange.receive(.end)
        guard case .finish(.failure(.outcomeUnknown)) = exchange.receive(.head(.init(status: status, contentType: ""))).next else {
            Issue.record("HTTP \(status)")
            return
        }
    }

    @Test func whatBreaksBeforeTheHeadMayHaveRun() {
        for (error, isUnknown) in [(TransportError.broken("x"), true), (.connection("x"), false), (.refused("x"), false), (.cancelled, false)] {
            var exchange = exchange()
            guard case .finish(.failure(let result)) = exchange.receive(.broken(error)).next else {
                Issue.record("\(error)")
                continue
            }
            if case .outcomeUnknown = result { #expect(isUnknown) } else { #expect(!isUnknown) }
        }
    }

    /// Any order of inputs: it ends, never traps, and gives one result.
    @Test func anyOrderOfInputsEndsOnce() {
        let inputs: [HTTPExchange.Input] = [
            .head(Self.json), .head(Self.stream), .head(.init(status: 404, contentType: "")), .head(.init(status: 401, contentType: "")),
            .body(Self.answer.encoded), .body([]), .bodyTooLarge, .bytes(Array(Self.event(Self.answer, id: "1").utf8)),
            .bytes(Array("id: 2\ndata:\n\n".utf8)), .bytes([0xFF, 0x0A, 0x0A]), .end, .broken(.cancelled), .broken(.broken("x")),
        ]
        for seed in 0..<2000 {
            var random = SeededGenerator(seed: UInt64(seed))
            var exchange = exchange(Revision.allCases.randomElement(using: &random), session: Bool.random(using: &random))
            var finished = false
            for _ in 0..<12 {
                guard let input = inputs.randomElement(using: &random) else { continue }
                let reaction = exchange.receive(input)
                guard case .finish(let result) = reaction.next else {
                    #expect(!finished)
                    continue
                }
                if finished { #expect((try? result.get()) == nil, "a second result") }
                finished = true
            }
        }
    }
}
