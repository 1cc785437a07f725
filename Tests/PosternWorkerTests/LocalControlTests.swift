import Glibc
import Logging
import PosternJSON
import PosternSandbox
import Synchronization
import Testing

@testable import PosternWorker

@Suite struct LocalControlTests {
    /// A session that records what is done to it.
    private final class Frozen: FreezableSession {
        private struct State {
            var log: [String] = []
            var waiting: [CheckedContinuation<Void, Never>] = []
        }
        private let state = Mutex(State())
        private let hangs: Bool
        private let failure: SandboxError?
        private let survivors: Int

        init(hangs: Bool = false, failure: SandboxError? = nil, survivors: Int = 0) {
            self.hangs = hangs
            self.failure = failure
            self.survivors = survivors
        }

        var log: [String] { state.withLock { $0.log } }

        func freeze() async throws(SandboxError) -> Int {
            state.withLock { $0.log.append("freeze") }
            if let failure { throw failure }
            // As a process in the kernel's hands: only its end ends this.
            if hangs { await withCheckedContinuation { waiter in state.withLock { $0.waiting.append(waiter) } } }
            return 3
        }

        func thaw() async throws(SandboxError) { state.withLock { $0.log.append("thaw") } }

        func kill() async -> ProcessTally {
            let waiting = state.withLock { state in
                state.log.append("kill")
                defer { state.waiting = [] }
                return state.waiting
            }
            for waiter in waiting { waiter.resume() }
            return ProcessTally(killed: 2, survivors: survivors)
        }
    }

    private static let `operator` = LocalControlPeer(user: 7, name: "olga")

    private static func folder() throws -> String {
        var template = Array("/tmp/postern-control-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SandboxError(.refused, "mkdtemp") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func remove(_ folder: String) {
        for name in ["control.sock", "frozen.json"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    @Test func freezesWhatIsMeantAndWhatComesLater() async throws {
        let folder = try Self.folder()
        defer { Self.remove(folder) }
        let records = Mutex<[LocalControlRequest]>([])
        let live = try LiveSessions(stateFolder: folder, patience: Self.patience) { request, reply, peer in
            #expect(peer == Self.operator)
            #expect(reply.isDone || request == .thaw(.session("s1")))
            records.withLock { $0.append(request) }
        }
        let (one, two, three) = (Frozen(), Frozen(), Frozen())
        _ = await live.add(session: "s1", agent: "a", one)
        let second = await live.add(session: "s2", agent: nil, two)
        let reply = await live.handle(.freeze(.agent("a")), by: Self.operator)
        #expect(reply.sessions == [.init(session: "s1", agent: "a", isFrozen: true, processes: ProcessTally(stopped: 3))] && reply.isDone)
        #expect(one.log == ["freeze"] && two.log.isEmpty)
        // Whose agent becomes known, and who comes now.
        await live.setAgent(second, "a")
        _ = await live.add(session: "s3", agent: "a", three)
        #expect(two.log == ["freeze"] && three.log == ["freeze"])
        // A wider order stands against a narrower thaw.
        let narrow = await live.handle(.thaw(.session("s1")), by: Self.operator)
        #expect(narrow.sessions.first?.problem == "stays frozen, by the order: agent a" && one.log == ["freeze"])
        let status = await live.handle(.status, by: Self.operator)
        #expect(status.sessions.map(\.isFrozen) == [true, true, true] && status.frozen.targets == [.agent("a")])
        let wide = await live.handle(.thaw(.all), by: Self.operator)
        #expect(wide.isDone && wide.frozen.targets.isEmpty && one.log == ["freeze", "thaw"])
        await live.remove(second)
        #expect(await live.handle(.freeze(.all), by: Self.operator).sessions.map(\.session) == ["s1", "s3"])
        #expect(records.withLock { $0 } == [.freeze(.agent("a")), .thaw(.session("s1")), .thaw(.all), .freeze(.all)])
    }

    /// Longer than any busy machine takes for nothing.
    private static let patience = Duration.seconds(60)

    @Test func survivesARestart() async throws {
        let folder = try Self.folder()
        defer { Self.remove(folder) }
        _ = await (try LiveSessions(stateFolder: folder, patience: Self.patience)).handle(.freeze(.session("s1")), by: Self.operator)
        let again = try LiveSessions(stateFolder: folder, patience: Self.patience)
        let session = Frozen()
        _ = await again.add(session: "s1", agent: nil, session)
        #expect(session.log == ["freeze"])
        // What cannot be read is not taken for nothing.
        for text in ["", "{}", "[[\"nonsense\"]]"] {
            let file = open(folder + "/frozen.json", O_WRONLY | O_TRUNC | O_CREAT, 0o600)
            write(file, text, text.utf8.count)
            close(file)
            #expect(throws: LocalControlError.self, "\(text)") { try LiveSessions(stateFolder: folder, patience: Self.patience) }
        }
    }

    @Test func killsWhatCannotBeFrozen() async throws {
        let folder = try Self.folder()
        defer { Self.remove(folder) }
        let live = try LiveSessions(stateFolder: folder, patience: .milliseconds(50))
        let (slow, refusing) = (Frozen(hangs: true), Frozen(failure: SandboxError(.unavailable, "cannot")))
        _ = await live.add(session: "slow", agent: nil, slow)
        _ = await live.add(session: "refusing", agent: nil, refusing)
        let reply = await live.handle(.freeze(.all), by: Self.operator)
        #expect(reply.sessions.map(\.wasKilled) == [true, true] && reply.isDone)
        #expect(slow.log == ["freeze", "kill"] && refusing.log == ["freeze", "kill"])
        #expect(reply.processes == ProcessTally(killed: 4))
    }

    /// What the kernel keeps from dying keeps nobody waiting, and is said.
    @Test func saysWhatCannotBeKilled() async throws {
        let folder = try Self.folder()
        defer { Self.remove(folder) }
        let live = try LiveSessions(stateFolder: folder, patience: Self.patience)
        _ = await live.add(session: "stuck", agent: nil, Frozen(failure: SandboxError(.unavailable, "cannot"), survivors: 1))
        let reply = await live.handle(.freeze(.all), by: Self.operator)
        #expect(!reply.isDone && reply.processes == ProcessTally(killed: 2, survivors: 1))
        #expect(reply.sessions.first?.problem == "1 processes could not be killed")
        #expect(try LocalControlReply(json: reply.json) == reply)
    }

    @Test func namesWhoAsks() {
        #expect(LocalControlPeer.named(0).description == "root (uid 0)")
        #expect(LocalControlPeer.named(3_999_999_999).description == "uid 3999999999")
    }

    /// A sandbox that cannot be stopped is waited for no longer than is said.
    @Test func givesUpOnWhatDoesNotDie() async throws {
        let inner = FakeDriver(stopsNever: true)
        let driver = FreezableDriver(inner, killPatience: .milliseconds(20))
        _ = try await driver.start(SandboxSpec(sessionID: "s", workspace: .managed(directory: "/nonexistent/w"), toolOutputs: "/nonexistent/o"))
        #expect(await driver.kill() == ProcessTally(survivors: 1))
    }

    /// Over the socket: answered, private, and not to be held up.
    @Test func servesItsSocket() async throws {
        let folder = try Self.folder()
        defer { Self.remove(folder) }
        let client = LocalControlClient(stateFolder: folder)
        let absent = await #expect(throws: LocalControlError.self) { try await client.ask(.status) }
        #expect(absent?.description.contains("no worker runs") == true)
        let live = try LiveSessions(stateFolder: folder, patience: Self.patience)
        let session = Frozen()
        _ = await live.add(session: "s1", agent: "a", session)
        let server = Task { try await LocalControlServer(stateFolder: folder, sessions: live, logger: Logger(label: "test")).run() }
        while access(folder + "/control.sock", F_OK) != 0 { await Task.yield() }
        var info = stat()
        #expect(stat(folder + "/control.sock", &info) == 0 && info.st_mode & 0o777 == 0o600)
        // Peers that say nothing, or nonsense, hold nobody up.
        var silent: [Int32] = []
        for _ in 0..<3 { silent.append(try Self.connected(folder)) }
        for text in ["nonsense\n", "{\"verb\":\"explode\"}\n", String(repeating: "x", count: 5000)] {
            let peer = try Self.connected(folder)
            LocalControlSocket.send(Array(text.utf8), peer)
            let answer = try LocalControlSocket.receive(peer, limit: 1 << 16)
            #expect(answer?["error"]?.string?.isEmpty == false, "\(text.prefix(20))")
            close(peer)
        }
        let reply = try await client.ask(.freeze(.session("s1")))
        #expect(reply.isDone && reply.sessions.map(\.session) == ["s1"] && session.log == ["freeze"])
        #expect(try await client.ask(.status).frozen.targets == [.session("s1")])
        for peer in silent { close(peer) }
        server.cancel()
        _ = await server.result
    }

    /// The socket may appear a moment before it listens.
    private static func connected(_ folder: String) throws -> Int32 {
        for _ in 0..<1000 { if let socket = try? LocalControlSocket.connect(in: folder) { return socket } else { usleep(1000) } }
        return try LocalControlSocket.connect(in: folder)
    }

    /// A proxy that does not hold its connections is ended, and the session cannot go on: it is not told that it waits for a thaw.
    @Test func killsWhoseProxyDoesNotHold() async throws {
        let folder = try Self.folder()
        defer { Self.remove(folder) }
        let live = try LiveSessions(stateFolder: folder, patience: Self.patience)
        for (session, holds) in [("held", true), ("cut", false)] {
            _ = await live.add(session: session, agent: nil, FreezableDriver(FakeDriver(), pauseNetwork: { _ in holds }))
        }
        let reply = await live.handle(.freeze(.all), by: Self.operator)
        #expect(reply.sessions.map(\.session) == ["cut", "held"] && reply.sessions.map(\.wasKilled) == [true, false])
        #expect(reply.isDone)
    }

    /// A session's driver: what runs is frozen, and what starts while it is frozen as well.
    @Test func freezesWhatADriverStarts() async throws {
        let inner = FakeDriver()
        let driver = FreezableDriver(inner)
        #expect(try await driver.freeze() == 0)
        await #expect(throws: SandboxError.self) {
            // The fake cannot be frozen, so that it must not run.
            try await driver.start(SandboxSpec(sessionID: "s", workspace: .managed(directory: "/nonexistent/w"), toolOutputs: "/nonexistent/o"))
        }
        try await driver.thaw()
        _ = try await driver.start(SandboxSpec(sessionID: "s", workspace: .managed(directory: "/nonexistent/w"), toolOutputs: "/nonexistent/o"))
        #expect(inner.current.specs.count == 2 && inner.current.stopped == 1)
        #expect(await driver.kill() == ProcessTally())
    }
}
