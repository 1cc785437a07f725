import Dispatch
import Glibc
import Logging
import PosternEgress
import PosternJSON
import PosternPolicy
import Synchronization
import Testing

@testable import PosternWorker

@Suite("Following egress decisions", .timeLimit(.minutes(1)))
struct EgressFollowingTests {
    private static func decision(_ number: Int, session: String = "s1") throws -> EgressDecision {
        var decision = EgressDecision(time: "2026-01-01T00:00:00Z", session: session, .refused)
        decision.destination = try Authority("a.example:443")
        (decision.method, decision.path, decision.call) = ("GET", "/\(number)", "call-\(number)")
        (decision.kind, decision.reason, decision.credentials) = (.policy, "no rule", ["k"])
        decision.address = IPAddress("10.0.0.1")
        return decision
    }

    @Test("a decision says the same after its JSON")
    func roundTrip() throws {
        var one = try Self.decision(1)
        #expect(try EgressDecision(json: try JSON(parsing: one.json.encoded)) == one)
        one = EgressDecision(time: "t", session: "s", .ended)
        (one.status, one.sent, one.received, one.milliseconds) = (200, 1, 2, 3)
        #expect(try EgressDecision(json: one.json) == one)
        #expect(throws: LocalControlError.self) { try EgressDecision(json: ["type": "egress", "time": "t", "session": "s", "event": "x"]) }
    }

    @Test("a full backlog counts what it does not keep, and begins anew when it is taken")
    func backlogIsBounded() {
        var backlog = DecisionBacklog(mostLines: 2, mostBytes: 10)
        for line in ["aaa\n", "bbb\n", "ccc\n", "ddd\n"] { backlog.append(Array(line.utf8)) }
        #expect(String(decoding: backlog.take(), as: UTF8.self) == "aaa\nbbb\n{\"type\":\"missed\",\"lines\":2}\n")
        backlog.append(Array("0123456789\n".utf8))
        backlog.append(Array("x\n".utf8))
        // Too long for it, and then nothing may stand behind what is missing.
        #expect(String(decoding: backlog.take(), as: UTF8.self) == "{\"type\":\"missed\",\"lines\":2}\n")
        #expect(backlog.take().isEmpty)
    }

    @Test("a proxy learns as long as somebody follows its session who does")
    func learning() async {
        let feed = DecisionFeed()
        let orders = Mutex<[String]>([])
        let one = feed.enrol(session: "s1") { learns in orders.withLock { $0.append("s1 \(learns)") } }
        await feed.following(session: "s1", learns: false) { _ in #expect(orders.withLock { $0 } == []) }
        await feed.following(session: nil, learns: true) { _ in
            _ = feed.enrol(session: "s2") { learns in orders.withLock { $0.append("s2 \(learns)") } }
            await feed.following(session: "s1", learns: true) { _ in }
            feed.withdraw(one)
            #expect(orders.withLock { $0 } == ["s1 true", "s2 true"])
        }
        #expect(orders.withLock { $0 } == ["s1 true", "s2 true", "s2 false"])
    }

    /// A worker's socket, and a feed behind it.
    private func withServer(_ body: (String, DecisionFeed, Task<Void, any Error>) async throws -> Void) async throws {
        var template = Array("/tmp/postern-follow-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            unlink("\(folder)/control.sock")
            rmdir(folder)
        }
        let live = try LiveSessions(stateFolder: folder)
        let feed = DecisionFeed()
        let server = Task {
            try await LocalControlServer(stateFolder: folder, sessions: live, decisions: feed, logger: Logger(label: "test")).run()
        }
        while access(folder + "/control.sock", F_OK) != 0 { await Task.yield() }
        do {
            try await body(folder, feed, server)
        } catch {
            server.cancel()
            throw error
        }
        server.cancel()
        _ = await server.result
    }

    /// Lines as they come.
    private final class Lines: Sendable {
        let stream: AsyncStream<EgressFollowing.Line>
        let feed: AsyncStream<EgressFollowing.Line>.Continuation
        init() { (stream, feed) = AsyncStream.makeStream() }
    }

    @Test("a follower gets the decisions of its session, and hears that the worker ends")
    func followsOneSession() async throws {
        try await withServer { folder, feed, server in
            let lines = Lines()
            let following = EgressFollowing(stateFolder: folder)
            let end = Task { try await following.run(session: "s2", learns: true) { lines.feed.yield($0) } }
            // It follows once a proxy of its session is told to learn.
            let (told, tell) = AsyncStream.makeStream(of: Bool.self)
            _ = feed.enrol(session: "s2") { tell.yield($0) }
            for await learns in told { if learns { break } }
            feed.publish(try Self.decision(1, session: "s1"))
            feed.publish(try Self.decision(2, session: "s2"))
            var seen = lines.stream.makeAsyncIterator()
            let expected = try Self.decision(2, session: "s2")
            #expect(await seen.next() == .decision(expected))
            server.cancel()
            let reason = try await end.value
            #expect(reason == .worker)
            for await learns in told { if !learns { break } }
        }
    }

    @Test("a follower that reads nothing holds nobody up, and hears how much it missed")
    func slowFollower() async throws {
        try await withServer { folder, feed, _ in
            let socket = try LocalControlSocket.connect(in: folder)
            defer { close(socket) }
            var size: Int32 = 4096
            setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
            LocalControlSocket.send(LocalControlLine.encoded(LocalControlRequest.egress(session: nil, learns: true).json), socket)
            let (told, tell) = AsyncStream.makeStream(of: Bool.self)
            _ = feed.enrol(session: "s1") { tell.yield($0) }
            for await learns in told { if learns { break } }
            let total = 20_000
            for number in 0..<total { feed.publish(try Self.decision(number)) }
            // Another request is answered meanwhile.
            #expect(try await LocalControlClient(stateFolder: folder).ask(.status).error == nil)
            LocalControlSocket.setPatience(socket, seconds: 20)
            // Blocks, so it has a thread of its own.
            let seen = await withCheckedContinuation { done in
                DispatchQueue.global().async { done.resume(returning: Self.count(socket, total)) }
            }
            // In order, and nothing twice; what is not there was counted.
            #expect(seen.isOrdered && seen.got + seen.missed == total)
            #expect(seen.missed > 0 && seen.got > 0)
        }
    }

    /// Reads until all of `total` decisions are there or known to be missing.
    private static func count(_ socket: Int32, _ total: Int) -> (got: Int, missed: Int, isOrdered: Bool) {
        struct Done: Error {}
        var (got, missed, previous, isOrdered) = (0, 0, -1, true)
        try? LocalControlSocket.receiveLines(socket, limit: 1 << 20) { bytes in
            let json = try JSON(parsing: bytes)
            if let lines = json["lines"]?.int { missed += lines }
            if let path = json["path"]?.string, let number = Int(path.dropFirst()) {
                isOrdered = isOrdered && number > previous
                (previous, got) = (number, got + 1)
            }
            if got + missed == total { throw Done() }
        }
        return (got, missed, isOrdered)
    }

    @Test("stopping ends a follower, and more than eight are refused")
    func stops() async throws {
        try await withServer { folder, feed, _ in
            let (told, tell) = AsyncStream.makeStream(of: String.self)
            var all: [(EgressFollowing, Task<EgressFollowing.End, any Error>)] = []
            for number in 0..<DecisionFeed.most {
                _ = feed.enrol(session: "s\(number)") { tell.yield("s\(number) \($0)") }
                let following = EgressFollowing(stateFolder: folder)
                all.append((following, Task { try await following.run(session: "s\(number)", learns: true) { _ in } }))
                for await word in told { if word == "s\(number) true" { break } }
            }
            let refused = await #expect(throws: LocalControlError.self) {
                _ = try await EgressFollowing(stateFolder: folder).run(session: nil, learns: false) { _ in }
            }
            #expect(refused?.description.contains("8 follow already") == true)
            for (following, end) in all {
                following.stop()
                let reason = try await end.value
                #expect(reason == .stopped)
            }
            var gone = 0
            for await word in told where word.hasSuffix("false") {
                gone += 1
                if gone == all.count { break }
            }
        }
    }
}
