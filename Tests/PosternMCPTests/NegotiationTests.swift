import PosternJSON
import PosternMCP
import Testing

@Suite struct NegotiationTests {
    private static let discovered: JSONObject = [
        "supportedVersions": ["2026-07-28"], "capabilities": ["tools": [:]], "resultType": "complete",
        "_meta": ["io.modelcontextprotocol/serverInfo": ["name": "s", "version": "1"]],
    ]

    private static func initialized(_ version: String) -> JSONObject {
        ["protocolVersion": .string(version), "capabilities": ["tools": ["listChanged": true]], "serverInfo": ["name": "s", "version": "1"]]
    }

    private static func error(_ code: Int, supported: [String]? = nil) -> MCPError {
        .server(RPCError(code: code, message: "m", data: supported.map { ["supported": .array($0.map(JSON.string))] }))
    }

    @Test func aModernServerIsFoundByTheFirstRequest() {
        var negotiation = Negotiation(medium: .http)
        #expect(negotiation.start() == .discover(.july2026))
        guard case .ready(let server) = negotiation.answered(.success(Self.discovered)) else {
            Issue.record("not ready")
            return
        }
        #expect(server.revision == .july2026 && server.server?.name == "s" && server.hasTools && !server.announcesToolChanges)
    }

    @Test(arguments: [
        MCPError.status(400, ""), .status(404, ""), .status(405, ""), .status(406, ""), .status(500, ""), .malformed("x"), error(-32601),
        error(-32602),
        error(-32600), error(-32000), error(-32022), error(-32022, supported: ["2025-11-25", "2026-07-28"]),
    ])
    func whateverIsNoSignOfAModernServerLeadsToInitialize(first: MCPError) {
        for medium in [Negotiation.Medium.http, .stdio] {
            var negotiation = Negotiation(medium: medium)
            _ = negotiation.start()
            #expect(negotiation.answered(.failure(first)) == .initialize(.november2025), "\(first)")
            guard case .announce(let server) = negotiation.answered(.success(Self.initialized("2025-06-18")), sessionID: "abc") else {
                Issue.record("\(first)")
                continue
            }
            #expect(server.revision == .june2025 && server.sessionID == "abc" && server.announcesToolChanges)
            #expect(negotiation.announced() == .ready(server))
        }
    }

    @Test(arguments: [
        MCPError.unreachable("x"), .unauthorized(nil, hasToken: false), .insufficientScope(BearerChallenge()), .status(503, ""), .status(502, ""),
        .status(429, ""), .status(413, ""), .redirected(status: 307, location: "x"), .outcomeUnknown("x"), .cancelled, .ended("x"),
        .tooLarge("x", limit: 1), error(-32020), error(-32021), error(-32022, supported: ["2027-01-01"]),
    ])
    func anOutageIsNoVerdictOnTheEra(first: MCPError) {
        var negotiation = Negotiation(medium: .http)
        _ = negotiation.start()
        guard case .fail = negotiation.answered(.failure(first)) else {
            Issue.record("\(first)")
            return
        }
    }

    @Test func silenceMeansTheOlderEraOverStdioOnly() {
        let silence = MCPError.timedOut(method: "server/discover", seconds: 1, hasProgress: false)
        var pipes = Negotiation(medium: .stdio)
        _ = pipes.start()
        #expect(pipes.answered(.failure(silence)) == .initialize(.november2025))
        var http = Negotiation(medium: .http)
        _ = http.start()
        #expect(http.answered(.failure(silence)) == .fail(silence))
    }

    @Test(
        arguments: [
            ["supportedVersions": ["2025-11-25"], "capabilities": [:]], ["supportedVersions": [], "capabilities": [:]], ["capabilities": [:]],
            ["supportedVersions": ["2026-07-28"]], [:],
        ] as [JSONObject])
    func anAnswerWithoutTheNewRevisionLeadsToInitialize(answer: JSONObject) {
        var negotiation = Negotiation(medium: .http)
        _ = negotiation.start()
        #expect(negotiation.answered(.success(answer)) == .initialize(.november2025))
    }

    @Test(arguments: Revision.allCases)
    func aForcedRevisionIsTheOnlyOneThatIsTried(revision: Revision) {
        var negotiation = Negotiation(medium: .http, forced: revision, known: revision.era == .modern ? .handshake : .modern)
        let step = negotiation.start()
        if revision.era == .modern {
            #expect(step == .discover(revision))
            #expect(negotiation.answered(.failure(.status(400, ""))) == .fail(.revision(wanted: revision.rawValue, offered: [])))
        } else {
            #expect(step == .initialize(revision))
            let other = revision == .march2025 ? Revision.june2025 : .march2025
            #expect(
                negotiation.answered(.success(Self.initialized(other.rawValue)))
                    == .fail(.revision(wanted: revision.rawValue, offered: [other.rawValue])))
        }
    }

    @Test(arguments: ["2024-11-05", "2026-07-28", "2099-01-01", ""])
    func aRevisionThatIsNotKnownIsRefused(version: String) {
        var negotiation = Negotiation(medium: .http, known: .handshake)
        #expect(negotiation.start() == .initialize(.november2025))
        #expect(negotiation.answered(.success(Self.initialized(version))) == .fail(.revision(wanted: "2025-11-25", offered: [version])))
    }

    @Test(arguments: ["", " ", "a b", "ü", "a\u{7F}", String(repeating: "x", count: 1025)])
    func aSessionIDThatNoHeaderCarriesIsRefused(id: String) {
        var negotiation = Negotiation(medium: .http, known: .handshake)
        _ = negotiation.start()
        guard case .fail(.malformed) = negotiation.answered(.success(Self.initialized("2025-11-25")), sessionID: id) else {
            Issue.record("accepted \(id)")
            return
        }
    }

    /// What was known of a server may be old, in both directions.
    @Test func aKnownEraIsTriedFirstAndNotTrusted() {
        var upgraded = Negotiation(medium: .http, known: .handshake)
        #expect(upgraded.start() == .initialize(.november2025))
        #expect(upgraded.answered(.failure(Self.error(-32601))) == .discover(.july2026))
        guard case .ready = upgraded.answered(.success(Self.discovered)) else {
            Issue.record("not ready")
            return
        }
        var downgraded = Negotiation(medium: .http, known: .modern)
        #expect(downgraded.start() == .discover(.july2026))
        #expect(downgraded.answered(.failure(.status(404, ""))) == .initialize(.november2025))
    }

    /// Whatever a server answers, it is asked four times at most.
    @Test func itEndsWhateverTheServerAnswers() {
        let answers: [Result<JSONObject, MCPError>] = [
            .success([:]), .success(Self.discovered), .success(Self.initialized("2025-11-25")), .failure(.status(404, "")),
            .failure(Self.error(-32601)),
            .failure(Self.error(-32022)), .failure(Self.error(-32022, supported: ["2026-07-28"])), .failure(.unreachable("x")),
            .failure(.timedOut(method: "m", seconds: 1, hasProgress: false)),
        ]
        for medium in [Negotiation.Medium.http, .stdio] {
            for forced in [nil] + Revision.allCases.map(Optional.some) {
                for known in [nil, Era.handshake, .modern] {
                    for code in 0..<(answers.count * answers.count * answers.count * answers.count) {
                        var (rest, asked) = (code, 0)
                        var negotiation = Negotiation(medium: medium, forced: forced, known: known)
                        var step = negotiation.start()
                        loop: while asked <= 4 {
                            switch step {
                            case .discover(let revision), .initialize(let revision):
                                #expect(forced == nil || revision == forced)
                                asked += 1
                                step = negotiation.answered(answers[rest % answers.count])
                                rest /= answers.count
                            case .announce: step = negotiation.announced()
                            case .ready(let server):
                                #expect(forced == nil || server.revision == forced)
                                break loop
                            case .fail: break loop
                            }
                        }
                        #expect(asked <= 3)
                    }
                }
            }
        }
    }
}
