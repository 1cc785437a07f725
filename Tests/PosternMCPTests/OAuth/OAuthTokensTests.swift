import ManagedAgentsClient
import PosternJSON
import Synchronization
import Testing

@testable import PosternMCP

/// Tokens of one server as its requests use them: asked for once, kept until their end, given to nobody else.
@Suite(.timeLimit(.minutes(1))) struct OAuthTokensTests {
    /// An MCP server that takes tokens of a number and up, and an authorization server that numbers them.
    private final class World: Sendable {
        struct State {
            var given = 0
            /// Tokens below are refused.
            var oldest = 1
            var life: Int? = 3600
            var clock = ContinuousClock.now
            /// The scopes that the server wants of a token.
            var wanted = "a"
            var scopes: [Int: String] = [:]
            /// Where alone its metadata lies, as its refusals say.
            var place: String?
            /// Of the token endpoint's answers.
            var status = 200
        }

        let state = Mutex(State())
        /// Opened where the authorization server may answer.
        let gate: Gate
        /// One for each request that is refused for want of a token.
        let (refusals, refused) = AsyncStream.makeStream(of: Void.self)
        let server: FakeTransport
        let authority: FakeTransport

        init(gate: Gate = Gate(isOpen: true)) {
            self.gate = gate
            let box = Box()
            server = FakeTransport { request throws(TransportError) in
                guard let world = box.value.withLock({ $0 }) else { throw .refused("no world") }
                let (oldest, wanted, scopes, place) = world.state.withLock { ($0.oldest, $0.wanted, $0.scopes, $0.place) }
                if request.target.hasPrefix("/.well-known/") {
                    guard request.target == place ?? request.target else { return ClientResponse(404) }
                    return ClientResponse(200, #"{"resource": "https://mcp.test/mcp", "authorization_servers": ["https://as.test"]}"#)
                }
                let number = request.headers["Authorization"].flatMap { Int(String($0.dropFirst("Bearer token-".count))) }
                guard let number, number >= oldest else {
                    world.refused.yield()
                    let named = place.map { #", resource_metadata="https://mcp.test\#($0)""# } ?? ""
                    return ClientResponse(401, "", ["WWW-Authenticate": #"Bearer scope="a"\#(named)"#])
                }
                let has = Set((scopes[number] ?? "").split(separator: " "))
                guard has.isSuperset(of: wanted.split(separator: " ")) else {
                    return ClientResponse(403, "", ["WWW-Authenticate": #"Bearer error="insufficient_scope", scope="\#(wanted)""#])
                }
                return ClientResponse(200, #"{"jsonrpc":"2.0","id":1,"result":{"by":\#(number)}}"#, ["Content-Type": "application/json"])
            }
            authority = FakeTransport { request throws(TransportError) in
                guard let world = box.value.withLock({ $0 }) else { throw .refused("no world") }
                guard request.method == .post else {
                    return ClientResponse(200, #"{"issuer": "https://as.test", "token_endpoint": "https://as.test/token"}"#)
                }
                let form = String(decoding: request.body, as: UTF8.self)
                let scope = form.split(separator: "&").first { $0.hasPrefix("scope=") }.map { String($0.dropFirst(6)).replacing("%20", with: " ") }
                do { try await world.gate.pass() } catch { throw .cancelled }
                return world.state.withLock { state in
                    guard state.status == 200 else { return ClientResponse(state.status) }
                    state.given += 1
                    state.scopes[state.given] = scope ?? ""
                    let life = state.life.map { #","expires_in":\#($0)"# } ?? ""
                    return ClientResponse(200, #"{"access_token":"token-\#(state.given)","token_type":"Bearer"\#(life)}"#)
                }
            }
            box.value.withLock { $0 = self }
        }

        private final class Box: Sendable { let value = Mutex<World?>(nil) }

        var fetches: Int { authority.asked.count { $0.method == .post } }

        func link(_ secret: String = "the-secret") throws -> HTTPLink {
            let endpoint = try MCPEndpoint("https://mcp.test/mcp")
            let client = OAuthClient(issuer: try MCPEndpoint("https://as.test"), id: "me", proof: .secret(Secret(secret)))
            let asking = OAuthAsking(server: server) { [authority] host throws(TransportError) in
                guard host.host == "as.test" else { throw .refused("\(host)") }
                return authority
            }
            let tokens = OAuthTokens(server: endpoint, client: client, asking: asking) { [self] in self.state.withLock { $0.clock } }
            return HTTPLink(server, endpoint: endpoint, tokens: tokens)
        }
    }

    /// Holds whoever passes until it is opened, or until somebody who waits is cancelled.
    private final class Gate: Sendable {
        private let state: Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>
        private let arrivals: AsyncStream<Void>
        private let arrived: AsyncStream<Void>.Continuation

        init(isOpen: Bool) {
            state = Mutex((isOpen, []))
            (arrivals, arrived) = AsyncStream.makeStream()
        }

        func pass() async throws {
            arrived.yield()
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isOpen = state.withLock { state in
                        if !state.isOpen { state.waiting.append(continuation) }
                        return state.isOpen
                    }
                    if isOpen { continuation.resume() }
                }
            } onCancel: {
                open()
            }
            try Task.checkCancellation()
        }

        /// Somebody stands before it, or has passed.
        func someone() async { for await _ in arrivals { return } }

        func close() { state.withLock { $0.isOpen = false } }

        func open() {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                state.isOpen = true
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }
    }

    private static func call(_ link: HTTPLink) async throws(MCPError) -> Int? {
        let request = LinkRequest(id: .number(1), method: "tools/call", params: [:], context: WireContext(revision: .july2026))
        return try await link.exchange(request) { _ in }.result["by"]?.int
    }

    @Test func manyRequestsAtOnceShareOneFetch() async throws {
        let world = World(gate: Gate(isOpen: false))
        let link = try world.link()
        let numbers = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<20 { group.addTask { try? await Self.call(link) } }
            await world.gate.someone()
            world.gate.open()
            return await group.reduce(into: [Int?]()) { $0.append($1) }
        }
        #expect(numbers == Array(repeating: 1, count: 20) && world.fetches == 1)
        #expect(
            !world.authority.asked.contains { $0.headers["Authorization"]?.contains("token-") == true }, "no token goes to the authorization server")
        #expect(world.server.asked.filter { $0.target.hasPrefix("/.well-known/") }.allSatisfy { $0.headers["Authorization"] == nil })
    }

    @Test func oneThatIsCancelledTakesTheFetchFromNobody() async throws {
        let world = World(gate: Gate(isOpen: false))
        let link = try world.link()
        var refusals = world.refusals.makeAsyncIterator()
        let first = Task { try? await Self.call(link) }
        await refusals.next()
        await world.gate.someone()
        let second = Task { try? await Self.call(link) }
        // From here on the second one wants it too.
        await refusals.next()
        first.cancel()
        world.gate.open()
        #expect(await second.value == 1)
        #expect(await first.value == nil)
    }

    @Test func withNobodyWaitingTheFetchIsCancelledAndTheNextOneIsANewOne() async throws {
        let world = World(gate: Gate(isOpen: false))
        let link = try world.link()
        let first = Task { () -> MCPError? in
            do throws(MCPError) { _ = try await Self.call(link) } catch { return error }; return nil
        }
        await world.gate.someone()
        first.cancel()
        world.gate.open()
        #expect(await first.value == .cancelled)
        #expect(try await Self.call(link) != nil)
    }

    @Test func aTokenIsUsedUntilItsEndLessAMargin() async throws {
        let world = World()
        let link = try world.link()
        for expected in [1, 1] { #expect(try await Self.call(link) == expected) }
        world.state.withLock { $0.clock += .seconds(3569) }
        #expect(try await Self.call(link) == 1)
        let before = world.server.asked.count
        world.state.withLock { $0.clock += .seconds(1) }
        #expect(try await Self.call(link) == 2)
        #expect(world.server.asked.count == before + 1, "it is renewed before it is refused, and no metadata asked for again")
    }

    /// The metadata lies only where the server's refusals say, and there is none of those before a request is sent.
    @Test func aRenewalThatFailsIsNotTheLastAndKeepsTheScopes() async throws {
        let world = World()
        world.state.withLock { $0.place = "/.well-known/oauth-protected-resource/elsewhere" }
        let link = try world.link()
        #expect(try await Self.call(link) == 1)
        world.state.withLock { $0.wanted = "b" }
        #expect(try await Self.call(link) == 2)
        world.state.withLock { state in
            state.clock += .seconds(4000)
            state.status = 503
        }
        await #expect(throws: MCPError.oauth(OAuthProblem(.answer, "the token: HTTP 503"))) { try await Self.call(link) }
        world.state.withLock { $0.status = 200 }
        #expect(try await Self.call(link) == 3)
        #expect(world.state.withLock { $0.scopes[3] } == "a b")
    }

    @Test func aRenewalThatIsCancelledForgetsNothing() async throws {
        let world = World()
        let link = try world.link()
        #expect(try await Self.call(link) == 1)
        await world.gate.someone()
        world.gate.close()
        world.state.withLock { $0.clock += .seconds(4000) }
        let before = world.server.asked.count
        let cancelled = Task { try? await Self.call(link) }
        await world.gate.someone()
        cancelled.cancel()
        #expect(await cancelled.value == nil)
        #expect(try await Self.call(link) == 2)
        #expect(world.server.asked.count == before + 1, "no metadata is asked for again")
    }

    @Test func aServerThatRefusesEveryTokenHasThirtyAskedForInAMinute() async throws {
        let world = World()
        let link = try world.link()
        world.state.withLock { $0.oldest = .max }
        var kinds: [String] = []
        func fail() async {
            do throws(MCPError) { _ = try await Self.call(link) } catch { kinds.append(error.kind) }
        }
        for _ in 0..<31 { await fail() }
        // The first of them asks twice.
        #expect(kinds == Array(repeating: "unauthorized", count: 29) + ["oauth_too_often", "oauth_too_often"])
        world.state.withLock { $0.clock += .seconds(59) }
        await fail()
        #expect(kinds.last == "oauth_too_often" && world.fetches == 30)
        world.state.withLock { state in
            state.clock += .seconds(1)
            state.oldest = 31
        }
        #expect(try await Self.call(link) == 31)
    }

    @Test func aTokenThatIsNoLongerTakenIsRenewedOnce() async throws {
        let world = World()
        let link = try world.link()
        #expect(try await Self.call(link) == 1)
        world.state.withLock { $0.oldest = 2 }
        #expect(try await Self.call(link) == 2)
        world.state.withLock { $0.oldest = 99 }
        let calls = world.server.asked.count
        await #expect(throws: MCPError.unauthorized(BearerChallenge(scope: "a"), hasToken: true)) { try await Self.call(link) }
        #expect(world.server.asked.count == calls + 2 && world.fetches == 3)
    }

    @Test func moreScopesAreAskedForBesidesTheOldOnesAndKept() async throws {
        let world = World()
        let link = try world.link()
        #expect(try await Self.call(link) == 1)
        world.state.withLock { $0.wanted = "b" }
        #expect(try await Self.call(link) == 2)
        #expect(world.state.withLock { $0.scopes } == [1: "a", 2: "a b"])
        world.state.withLock { $0.wanted = "a" }
        #expect(try await Self.call(link) == 2)
        // The end of the token is no end of its scopes.
        world.state.withLock { $0.clock += .seconds(4000) }
        #expect(try await Self.call(link) == 3)
        #expect(world.state.withLock { $0.scopes[3] } == "a b")
    }

    @Test func theSameScopesRefusedAgainAreAskedForNoMore() async throws {
        let world = World()
        let link = try world.link()
        world.state.withLock { $0.wanted = "a b" }
        #expect(try await Self.call(link) == 2)
        // It grants less than it was asked for.
        world.state.withLock { state in for number in state.scopes.keys { state.scopes[number] = "" } }
        await #expect(throws: MCPError.insufficientScope(BearerChallenge(error: "insufficient_scope", scope: "a b"))) { try await Self.call(link) }
        #expect(world.fetches == 2)
    }

    @Test func aBodyWithoutAnEndIsGivenUpAndSoIsOneThatNeverGoesOn() async throws {
        struct Endless: AsyncSequence, AsyncIteratorProtocol, Sendable {
            let chunk: [UInt8]?
            func makeAsyncIterator() -> Self { self }
            mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? { try await next() }
            mutating func next() async throws -> [UInt8]? {
                if let chunk { return chunk }
                try await Task.sleep(for: .seconds(3600))
                return nil
            }
        }
        for (chunk, kind) in [(Array(repeating: UInt8(32), count: 4096), OAuthProblem.Kind.answer), (nil, .unreachable)] {
            let endpoint = try MCPEndpoint("https://mcp.test/mcp")
            let server = FakeTransport { request throws(TransportError) in
                guard request.target.hasPrefix("/.well-known/") else { return ClientResponse(401) }
                return ClientResponse(status: 200, headers: [:], body: ClientBody(Endless(chunk: chunk)))
            }
            let client = OAuthClient(issuer: try MCPEndpoint("https://as.test"), id: "me", proof: .secret(Secret("the-secret")))
            let asking = OAuthAsking(server: server, time: chunk == nil ? .milliseconds(20) : .seconds(30)) { _ throws(TransportError) in
                throw .refused("nobody")
            }
            let link = HTTPLink(server, endpoint: endpoint, tokens: OAuthTokens(server: endpoint, client: client, asking: asking))
            do throws(MCPError) {
                _ = try await Self.call(link)
                Issue.record("an answer")
            } catch {
                guard case .oauth(let problem) = error else {
                    Issue.record("\(error)")
                    continue
                }
                #expect(problem.kind == kind)
            }
            #expect(server.asked.count == 2, "the call was sent once, unread")
        }
    }

    @Test func theQueryOfTheServersURLIsInNoError() async throws {
        let endpoint = try MCPEndpoint("https://mcp.test/mcp?key=canary")
        let client = OAuthClient(issuer: try MCPEndpoint("https://as.test"), id: "me", proof: .secret(Secret("the-secret")))
        // Who is away, and who repeats it.
        for metadata in [nil, #"{"resource": "https://mcp.test/mcp?key=canary&more"}"#] as [String?] {
            let server = FakeTransport { request throws(TransportError) in
                guard request.target.hasPrefix("/.well-known/") else { return ClientResponse(401) }
                guard let metadata else { throw .connection("it is away") }
                return ClientResponse(200, metadata)
            }
            let asking = OAuthAsking(server: server) { _ throws(TransportError) in throw .refused("nobody") }
            let link = HTTPLink(server, endpoint: endpoint, tokens: OAuthTokens(server: endpoint, client: client, asking: asking))
            do throws(MCPError) {
                _ = try await Self.call(link)
                Issue.record("an answer")
            } catch {
                #expect(error.kind == (metadata == nil ? "oauth_unreachable" : "oauth_resource_mismatch"))
                #expect("\(error)".contains("https://mcp.test/") && !"\(error)".contains("canary"), "\(error)")
            }
        }
    }

    @Test func whatAPeerRepeatsOfSecretsIsMasked() async throws {
        let endpoint = try MCPEndpoint("https://mcp.test/mcp")
        let client = OAuthClient(issuer: try MCPEndpoint("https://as.test"), id: "me", proof: .secret(Secret("the-secret")))
        let world = World()
        let authority = FakeTransport { request throws(TransportError) in
            guard request.method == .post else { return try await world.authority.send(request) }
            return ClientResponse(400, #"{"error":"invalid_client","error_description":"not the-secret"}"#)
        }
        let asking = OAuthAsking(server: world.server) { _ throws(TransportError) in authority }
        let link = HTTPLink(world.server, endpoint: endpoint, tokens: OAuthTokens(server: endpoint, client: client, asking: asking))
        do throws(MCPError) {
            _ = try await Self.call(link)
            Issue.record("an answer")
        } catch {
            #expect(error.kind == "oauth_denied" && !"\(error)".contains("the-secret") && "\(error)".contains("<redacted>"))
        }
        let reflecting = FakeTransport { request throws(TransportError) in
            if request.target.hasPrefix("/.well-known/") || request.headers["Authorization"] == nil { return try await world.server.send(request) }
            return ClientResponse(500, "I got \(request.headers["Authorization"] ?? "")")
        }
        let other = HTTPLink(
            reflecting, endpoint: endpoint,
            tokens: OAuthTokens(
                server: endpoint, client: client, asking: OAuthAsking(server: reflecting) { _ throws(TransportError) in world.authority }))
        await #expect(throws: MCPError.status(500, "I got Bearer <redacted>")) { try await Self.call(other) }
    }
}
