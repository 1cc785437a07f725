import ManagedAgentsClient
import PosternAudit
import PosternJSON
import Testing

@testable import PosternWorker

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A worker whose sessions a script serves: real scripts, the service in memory, time that the test moves.
@Suite(.timeLimit(.minutes(1))) struct LauncherServingTests {
    private let fixture = Fixture()
    private let log = LineLog()

    private func script(_ text: String) -> String {
        mkdir(fixture.folder + "/work", 0o700)
        let path = fixture.folder + "/work/launch.sh"
        fixture.append("launch.sh", "#!/bin/bash\ncd '\(fixture.folder)/work'\n" + text + "\n")
        chmod(path, 0o700)
        return path
    }

    private func worker(_ text: String, _ change: (inout LauncherConfiguration) -> Void = { _ in }) -> Worker {
        var launcher = LauncherConfiguration(script: script(text), baseURL: "https://cp.example")
        launcher.environment = ["PATH": "/usr/bin:/bin"]
        change(&launcher)
        let configuration = fixture.configuration { $0.launcher = launcher }
        return Worker(configuration: configuration, transport: fixture.service, driver: LauncherDriver(), logger: log.logger())
    }

    private func claims(_ state: FakeService.State) -> Int { state.requests.filter { $0.target.hasSuffix("desired_ttl_seconds=1") }.count }

    private func probes(_ state: FakeService.State) -> Int { state.requests.filter { $0.target.contains(LaunchedItem.probe) }.count }

    /// What another worker does with the item's secret: its first heartbeat.
    private func takeOver(_ session: String) { fixture.service.change { $0.beats[session] = "beat-of-another" } }

    private func isAlive(_ pid: String) -> Bool {
        guard let number = pid_t(pid), kill(number, 0) == 0 else { return false }
        // A process that nobody has waited for yet is dead too.
        guard let file = fopen("/proc/\(pid)/stat", "r") else { return false }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        fgets(&line, 512, file)
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return !text.contains(") Z ") && !text.contains(") X ")
    }

    @Test func theScriptGetsTheItemAndItsSecretOnly() async throws {
        try await fixture.serving(worker("cat > item.json; env > variables; mkfifo gate; echo ready; read line < gate")) {
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: ready")
            takeOver("sesn_1")
            try open("gate")
            await log.has("another worker serves the session")
        }
        let item = try JSON(parsing: Array(fixture.contents("item.json").utf8))
        #expect(item["id"] == "sesn_1" && item["data"]?["id"] == "sesn_1" && item["secret"]?.string == FakeService.secret)
        let variables = fixture.contents("variables")
        #expect(variables.contains("ANTHROPIC_WORK_SECRET=\(FakeService.secret)\n") && variables.contains("ANTHROPIC_SESSION_ID=sesn_1\n"))
        #expect(!variables.contains("env-key") && !variables.contains("ENVIRONMENT_KEY"))
        // No sandbox, no heartbeat of this worker's own, no stop.
        #expect(fixture.service.current.stopped.isEmpty && claims(fixture.service.current) == 0)
        #expect(fixture.service.current.requests.allSatisfy { !$0.target.contains("expected_last_heartbeat=NO_HEARTBEAT") })
    }

    @Test func anItemWithoutASecretNeedsTheCompatibleMode() async throws {
        try await fixture.serving(worker("echo ran")) {
            fixture.service.enqueue("sesn_1", secret: nil)
            await log.has("--on-work-compat")
        }
        #expect(!log.lines.contains { $0.contains("launcher: ran") })
    }

    @Test func theCompatibleModePassesTheKey() async throws {
        try await fixture.serving(worker("echo key $ANTHROPIC_ENVIRONMENT_KEY; env > variables; echo done") { $0.passesEnvironmentKey = true }) {
            fixture.service.enqueue("sesn_1", secret: nil)
            await log.has("launcher: done")
        }
        #expect(fixture.contents("variables").contains("ANTHROPIC_ENVIRONMENT_KEY=env-key\n"))
        // In the log it is masked.
        #expect(log.lines.contains { $0.contains("launcher: key [redacted: secret environment-key]") })
        #expect(!log.lines.contains { $0.contains("env-key") })
    }

    @Test func whatAScriptPrintsCannotForgeALineOrLeakASecret() async throws {
        try await fixture.serving(worker(#"printf 'a\033[31m%s\n' "$ANTHROPIC_WORK_SECRET" >&2; printf 'b\rforged\n'; echo end"#)) {
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: end")
        }
        #expect(log.lines.contains { $0.contains(#"launcher: a\u{1b}[31m[redacted: secret work-secret]"#) })
        #expect(log.lines.contains { $0.contains(#"launcher: b\u{d}forged"#) })
        #expect(!log.lines.contains { $0.contains(FakeService.secret) || $0.contains("tok-1") })
    }

    @Test func aSessionIsNotStrandedByAScriptThatReturnsEarly() async throws {
        try await fixture.serving(worker("echo returned")) {
            fixture.service.enqueue("sesn_1")
            for round in 1...30 {
                await fixture.clock.asks(round) { $0 == .seconds(2) }
                #expect(claims(fixture.service.current) == 0)
                fixture.clock.advance(by: .seconds(2))
            }
            await log.has("no worker took the session over")
            #expect(claims(fixture.service.current) == 1 && fixture.service.current.stopped.isEmpty)
        }
    }

    @Test func aFailureGivesTheItemBackAtOnceAndTheNextRunWaits() async throws {
        try await fixture.serving(worker("echo run; exit 7")) {
            fixture.service.enqueue("sesn_1")
            await log.has("ended with status 7")
            #expect(claims(fixture.service.current) == 1)
            fixture.service.enqueue("sesn_1")
            await fixture.clock.asks { $0 == .seconds(2) }
            #expect(log.lines.filter { $0.contains("launcher: run") }.count == 1)
            fixture.clock.advance(by: .seconds(2))
            await log.has("ended with status 7", count: 2)
        }
    }

    @Test func anItemThatWasStoppedMeanwhileIsFinished() async throws {
        try await fixture.serving(worker("echo up; read line < gate")) {
            mkfifo(fixture.folder + "/work/gate", 0o600)
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: up")
            fixture.service.change { $0.ended.insert("sesn_1") }
            try open("gate")
            await log.has("the launched worker has ended")
        }
        #expect(claims(fixture.service.current) == 0)
    }

    @Test func scriptsRunSideBySide() async throws {
        mkdir(fixture.folder + "/work", 0o700)
        mkfifo(fixture.folder + "/work/gate", 0o600)
        try await fixture.serving(worker("echo up $ANTHROPIC_SESSION_ID; read line < gate")) {
            for index in 1...5 { fixture.service.enqueue("sesn_\(index)") }
            await log.has("launcher: up", count: 5)
        }
        // Draining ended all five.
        #expect(claims(fixture.service.current) == 5)
    }

    /// Background children, a child in a session of its own, one whose parent is gone, one that ignores SIGTERM: none survives.
    @Test func drainingKillsTheWholeTree() async throws {
        let text = """
            trap '' TERM
            sleep 1000 & echo $! >> pids
            setsid sleep 1000 & echo $! >> pids
            ( setsid bash -c 'echo $$ >> pids; exec sleep 1000' & )
            ( trap '' TERM; exec sleep 1001 ) & echo $! >> pids
            while [ "$(wc -l < pids)" -lt 4 ]; do sleep 0.01; done
            echo up
            while true; do sleep 1000; done
            """
        let worker = worker(text)
        let running = Task { try await worker.run() }
        fixture.service.enqueue("sesn_1")
        await log.has("launcher: up")
        let pids = fixture.contents("pids").split(separator: "\n").map(String.init)
        #expect(pids.count == 4 && pids.allSatisfy(isAlive))
        worker.shutDown()
        await fixture.clock.asks { $0 == .seconds(28) }
        fixture.clock.advance(by: .seconds(28))
        try await running.value
        #expect(pids.filter(isAlive).isEmpty)
        #expect(claims(fixture.service.current) == 1)
    }

    @Test func aTimeLimitEndsAScript() async throws {
        try await fixture.serving(worker("echo up; exec sleep 1000") { $0.timeLimit = .seconds(77) }) {
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: up")
            await fixture.clock.asks { $0 == .seconds(77) }
            fixture.clock.advance(by: .seconds(77))
            await log.has("did not end within")
            #expect(claims(fixture.service.current) == 1)
        }
    }

    /// The lease ran out before any worker came: the second claim's script starts only after the first one's processes are gone.
    @Test func aSecondClaimEndsTheFirstScript() async throws {
        try await fixture.serving(worker("echo $$ >> pids; echo up; exec sleep 1000")) {
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: up")
            let first = fixture.contents("pids").split(separator: "\n").map(String.init)
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: up", count: 2)
            #expect(!isAlive(first[0]))
            #expect(claims(fixture.service.current) == 0)
        }
    }

    // MARK: Freezing

    private func ask(_ request: LocalControlRequest) async throws -> LocalControlReply {
        try await LocalControlClient(stateFolder: fixture.folder + "/work/.postern").ask(request)
    }

    /// Waits for the worker's socket: nothing tells of it but the file.
    private func controlSocket() async {
        while access(fixture.folder + "/work/.postern/control.sock", F_OK) != 0 { await Task.yield() }
    }

    /// Whether the kernel has stopped it (proc(5), state T).
    private func stands(_ pid: String) -> Bool {
        guard let bytes = ProcessTable.read("/proc/\(pid)/stat") else { return false }
        return String(decoding: bytes, as: UTF8.self).contains(") T ")
    }

    @Test(arguments: [FreezeTarget.all, .session("sesn_1"), .agent("agent_1")])
    func nothingIsLaunchedThatAnOrderCovers(_ target: FreezeTarget) async throws {
        try await fixture.serving(worker("echo up $ANTHROPIC_SESSION_ID; exec sleep 1000")) {
            await controlSocket()
            #expect(try await ask(.freeze(target)).isDone)
            fixture.service.change { $0.sessions["sesn_1"] = .init(agent: "agent_1") }
            fixture.service.enqueue("sesn_1")
            await log.has("nothing is launched: an order to freeze covers the session")
            let status = try await ask(.status)
            #expect(status.sessions.map(\.isFrozen) == [true])
            // What no order covers is launched meanwhile.
            fixture.service.change { $0.sessions["sesn_2"] = .init(agent: "agent_2") }
            fixture.service.enqueue("sesn_2")
            if target != .all { await log.has("launcher: up sesn_2") } else { await log.has("nothing is launched", count: 2) }
            #expect(!log.lines.contains { $0.contains("launcher: up sesn_1") })
            #expect(try await ask(.thaw(target)).isDone)
            await log.has("launcher: up sesn_1")
        }
    }

    /// Of which the agent is not known, an order may mean.
    @Test func nothingIsLaunchedWhoseAgentIsNotKnown() async throws {
        try await fixture.serving(worker("echo up")) {
            await controlSocket()
            _ = try await ask(.freeze(.agent("agent_1")))
            fixture.service.change { $0.faults = [.init(method: .get, suffix: "/sessions/sesn_1", status: 403, times: 100)] }
            fixture.service.enqueue("sesn_1")
            await log.has("the session cannot be fetched")
        }
        #expect(!log.lines.contains { $0.contains("launcher: up") })
    }

    /// The tree that no kill misses stands, and its record counts it; what may run elsewhere is said.
    @Test func aFreezeStopsTheWholeTreeAndAThawLetsItGoOn() async throws {
        let text = """
            sleep 1000 & echo $! >> pids
            setsid bash -c 'echo $$ >> pids; while :; do /bin/true; done' &
            ( setsid bash -c 'echo $$ >> pids; exec sleep 1000' & )
            while [ "$(wc -l < pids)" -lt 3 ]; do sleep 0.01; done
            echo $$ >> pids
            echo up
            while true; do sleep 0.01; done
            """
        try await fixture.serving(worker(text)) {
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: up")
            let pids = fixture.contents("pids").split(separator: "\n").map(String.init)
            #expect(pids.count == 4 && !pids.contains(where: stands))
            let reply = try await ask(.freeze(.all))
            #expect(pids.allSatisfy(stands))
            let session = try #require(reply.sessions.first)
            #expect(session.isFrozen && !session.wasKilled && session.isElsewhere && !reply.isDone)
            #expect(session.problem == "what its launcher's script has started elsewhere is not reached from here: stop it there")
            #expect(session.processes.stopped >= 4 && session.processes.killed == 0 && session.processes.survivors == 0)
            let records = try fixture.contents(".postern/audit.jsonl").split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
            let body = try #require(records.first { $0["kind"] == "freeze" }?["body"])
            #expect(body["processes_stopped"]?.int == session.processes.stopped && body["elsewhere"] == 1)
            #expect(try await ask(.thaw(.all)).isDone)
            #expect(!pids.contains(where: stands) && pids.allSatisfy(isAlive))
            // Frozen again it ends with the worker at once, since it hears no request.
            _ = try await ask(.freeze(.session("sesn_1")))
        }
        let pids = fixture.contents("pids").split(separator: "\n").map(String.init)
        #expect(pids.filter(isAlive).isEmpty && claims(fixture.service.current) == 1)
    }

    /// A script that has returned leaves nothing here to freeze, and its session is not passed over in silence.
    @Test func whatWasHandedOverIsNamed() async throws {
        try await fixture.serving(worker("mkfifo gate; echo ready; read line < gate")) {
            fixture.service.enqueue("sesn_1")
            await log.has("launcher: ready")
            takeOver("sesn_1")
            try open("gate")
            await log.has("another worker serves the session")
            let reply = try await ask(.freeze(.session("sesn_1")))
            #expect(!reply.isDone && reply.sessions.map(\.isElsewhere) == [true] && reply.processes == ProcessTally())
            #expect(try await ask(.freeze(.session("sesn_2"))).isDone)
        }
    }

    // MARK: Records

    private func records() throws -> [JSON] {
        try fixture.contents(".postern/audit.jsonl").split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
            .filter { $0["session"] == "sesn_1" }
    }

    @Test(arguments: [false, true]) func aRunIsRecordedWithWhatItWasGiven(isCompatible: Bool) async throws {
        let worker = worker("echo run; exit 7") { $0.passesEnvironmentKey = isCompatible }
        try await fixture.serving(worker) {
            fixture.service.change { $0.sessions["sesn_1"] = .init(agent: "agent_1") }
            fixture.service.enqueue("sesn_1")
            await log.has("ended with status 7")
        }
        let records = try records()
        #expect(records.map { $0["kind"]?.string } == ["session_start", "key_use"] + (isCompatible ? ["key_use"] : []) + ["session_stop"])
        let launcher = records.first?["body"]?["launcher"]
        #expect(launcher?["path"]?.string == fixture.folder + "/work/launch.sh" && launcher?["hmac_sha256"]?.string?.utf8.count == 64)
        #expect(records.first?["body"]?["agent"] == "agent_1")
        let keys = records.filter { $0["kind"] == "key_use" }.compactMap {
            $0["body"]?["name"]?.string?.split(separator: " ").dropLast().joined(separator: " ")
        }
        #expect(keys == ["work secret"] + (isCompatible ? ["environment key"] : []))
        #expect(records.last?["body"]?["reason"]?.string?.hasSuffix("; the script ended with status 7") == true)
        let all = fixture.contents(".postern/audit.jsonl")
        #expect(!all.contains(FakeService.secret) && !all.contains("tok-1") && !all.contains("env-key"))
    }

    @Test func whatCannotBeRecordedIsNotLaunched() async throws {
        var launcher = LauncherConfiguration(script: script("echo up"), baseURL: "https://cp.example")
        launcher.environment = ["PATH": "/usr/bin:/bin"]
        let configuration = fixture.configuration {
            $0.launcher = launcher
            // The session may write nothing.
            $0.audit.flood.burst = 0
        }
        let worker = Worker(configuration: configuration, transport: fixture.service, driver: LauncherDriver(), logger: log.logger())
        try await fixture.serving(worker) {
            fixture.service.enqueue("sesn_1")
            await log.has("what it is given cannot be recorded")
            await log.has("back in the queue")
        }
        #expect(!log.lines.contains { $0.contains("launcher: up") || $0.contains("launched") })
    }

    /// A log that takes nothing more stops the worker.
    @Test func aLogThatIsClosedStopsTheWorker() async throws {
        mkdir(fixture.folder + "/work", 0o700)
        let audit = try AuditLog(path: fixture.folder + "/work/audit.jsonl", key: AuditKey(bytes: Array(repeating: 7, count: 32)))
        await audit.finish()
        let broken = FailureSignal()
        let item = WorkItem(id: "work_1", environmentID: "env_1", sessionID: "sesn_1", secret: Secret("s"), needsAck: true)
        let records = LaunchRecords(audit: audit, item: item, timestamp: { "2026-01-01T00:00:00Z" }, unrecordable: broken, logger: log.logger())
        await #expect(throws: FileError.self) { try await records.begin("/bin/true", agent: nil, environmentKey: nil) }
        #expect(broken.reason != nil)
    }

    @Test(arguments: ["relative.sh", "/nowhere/launch.sh", "/etc/passwd", "/tmp"])
    func aScriptThatCannotRunEndsTheWorker(_ path: String) async throws {
        let configuration = fixture.configuration { $0.launcher = LauncherConfiguration(script: path, baseURL: "https://cp.example") }
        let worker = Worker(configuration: configuration, transport: fixture.service, driver: LauncherDriver(), logger: log.logger())
        let error = await #expect(throws: Worker.Failure.self) { try await worker.run() }
        #expect(error.map { "\($0)" }?.contains("launcher '\(path)'") == true)
        #expect(fixture.service.current.requests.isEmpty)
    }

    /// Opens the fifo for the script that waits at it.
    private func open(_ name: String) throws {
        let descriptor = Glibc.open("\(fixture.folder)/work/\(name)", O_WRONLY)
        try #require(descriptor >= 0)
        write(descriptor, "go\n", 3)
        close(descriptor)
    }
}
