import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Synchronization
import Testing

@Suite(.serialized) struct FreezeTests {
    /// Counts for ever in a process that nothing waits for.
    private static let ticking = "(setsid bash -c 'while :; do echo >> /workspace/ticks; done' >/dev/null 2>&1 &)"

    private func ticks(_ box: Box) -> Int {
        var info = stat()
        return stat("\(box.scratch.workspace)/ticks", &info) == 0 ? Int(info.st_size) : 0
    }

    private func waitForTicks(_ box: Box, above count: Int) async {
        while ticks(box) <= count { await Task.yield() }
    }

    @Test(arguments: Mode.possible) func stopsDetachedProcessesAndLetsThemGoOn(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh(Self.ticking)
            await waitForTicks(box, above: 0)
            for _ in 0..<3 {
                try await box.sandbox.freeze()
                let before = ticks(box)
                // Long enough for thousands of ticks.
                try await Task.sleep(for: .milliseconds(50))
                #expect(ticks(box) == before)
                // Frozen twice is frozen.
                try await box.sandbox.freeze()
                try await box.sandbox.thaw()
                await waitForTicks(box, above: before)
            }
            #expect(try await box.sh("echo awake") == "awake")
        }
    }

    /// bubblewrap, process 1, the shell and its children, however they were detached.
    @Test(arguments: Mode.possible) func countsWhatStandsStill(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh("true")
            let before = try await box.sandbox.freeze()
            try await box.sandbox.thaw()
            _ = try await box.sh(
                "sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &); while [ $(grep -lx sleep /proc/[0-9]*/comm | wc -l) -lt 3 ]; do :; done")
            #expect(try await box.sandbox.freeze() == before + 3)
            #expect(await box.sandbox.processCount() == before + 3)
            await box.sandbox.stop()
            #expect(await box.sandbox.processCount() == 0)
            #expect(try await box.sandbox.freeze() == 0)
        }
    }

    /// A fork bomb slips through no freeze: what it has started by then stands still, and nothing more is started.
    @Test(arguments: Mode.possible) func stopsAForkBomb(mode: Mode) async throws {
        try await Box.with(mode, change: { spec, _ in spec.limits.processes = 200 }) { (box: Box) async throws in
            let bomb = "f() { echo >> /workspace/ticks; f & f & }; (setsid bash -c \"$(declare -f f); f\" >/dev/null 2>&1 &)"
            _ = try await box.sh(bomb)
            await waitForTicks(box, above: 20)
            try await box.sandbox.freeze()
            let before = ticks(box)
            try await Task.sleep(for: .milliseconds(100))
            #expect(ticks(box) == before)
            await box.sandbox.stop()
            if mode == .root { #expect(Processes.ofUser(box.sandbox.user).isEmpty) }
        }
    }

    @Test(arguments: Mode.possible) func holdsACallUntilTheThaw(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            try await box.sandbox.freeze()
            let isAnswered = Flag()
            async let call: Void = {
                _ = try? await box.sh("echo x")
                isAnswered.set()
            }()
            try await Task.sleep(for: .milliseconds(50))
            #expect(!isAnswered.isSet)
            try await box.sandbox.thaw()
            await call
            #expect(isAnswered.isSet)
        }
    }

    @Test(arguments: Mode.possible) func killsWhatIsFrozen(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh("setsid sleep \(mode.seconds(54330)) >/dev/null 2>&1 &")
            try await box.sandbox.freeze()
            await box.sandbox.stop()
            #expect(!Processes.all().contains { Processes.command(of: $0) == ["sleep", "\(mode.seconds(54330))"] })
            // Nothing of it runs, which is what a freeze is for.
            try await box.sandbox.freeze()
            await #expect(throws: SandboxError.self) { try await box.sandbox.thaw() }
        }
    }

    /// Must show: from the command to the last process, for many sandboxes at once; nobody survives. POSTERN_FREEZE_COUNT changes how many.
    @Test(arguments: Mode.possible) func stopsManyWithinASecond(mode: Mode) async throws {
        let count = getenv("POSTERN_FREEZE_COUNT").flatMap { Int(String(cString: $0)) } ?? (mode == .root ? 200 : 50)
        let spawner = try await Spawners.of(mode)
        let driver = try BubblewrapDriver(spawner: spawner)
        let scratch = try Scratch(mode)
        let marker = "\(mode.seconds(54340))"
        var sandboxes: [any Sandbox] = []
        for index in 0..<count {
            let sandbox = try await driver.start(
                SandboxSpec(
                    sessionID: "s\(index)", workspace: .managed(directory: "\(scratch.path)/w\(index)"), toolOutputs: "\(scratch.path)/o\(index)"))
            let command = "setsid sleep \(marker) >/dev/null 2>&1 & (setsid bash -c 'sleep \(marker) & wait' >/dev/null 2>&1 &)"
            _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": .string(command)]))
            sandboxes.append(sandbox)
        }
        let frozen = try await Self.times(sandboxes) { _ = try await $0.freeze() }
        print("freeze: \(mode): \(count) sandboxes, from command to last process: \(frozen)")
        let thawed = try await Self.times(sandboxes) { try await $0.thaw() }
        print("thaw: \(mode): \(count) sandboxes: \(thawed)")
        let killed = try await Self.times(sandboxes) { await $0.stop() }
        print("kill: \(mode): \(count) sandboxes, from command to last process: \(killed)")
        let survivors = Processes.all().filter { Processes.command(of: $0) == ["sleep", marker] }
        print("kill: \(mode): survivors: \(survivors.count)")
        #expect(survivors.isEmpty)
        #expect(frozen.last < .seconds(1) && killed.last < .seconds(count > 100 ? 2 : 1))
        await scratch.remove(spawner)
    }

    struct Times: CustomStringConvertible {
        var median: Duration
        var percentile99: Duration
        var last: Duration

        var description: String {
            let texts = [median, percentile99, last].map { "\((($0 / .milliseconds(1)) * 10).rounded() / 10) ms" }
            return "p50 \(texts[0]), p99 \(texts[1]), last \(texts[2])"
        }
    }

    /// All at once; each time is from the common start.
    private static func times(_ sandboxes: [any Sandbox], _ action: @escaping @Sendable (any Sandbox) async throws -> Void) async throws -> Times {
        let clock = ContinuousClock()
        let start = clock.now
        let times = try await withThrowingTaskGroup(of: Duration.self) { group in
            for sandbox in sandboxes {
                group.addTask {
                    try await action(sandbox)
                    return clock.now - start
                }
            }
            var times: [Duration] = []
            for try await time in group { times.append(time) }
            return times.sorted()
        }
        let count = times.count
        return Times(median: times[count / 2], percentile99: times[min(count - 1, count * 99 / 100)], last: times[count - 1])
    }
}

/// Set once, read from anywhere.
final class Flag: Sendable {
    private let value = Mutex(false)

    var isSet: Bool { value.withLock { $0 } }

    func set() { value.withLock { $0 = true } }
}
