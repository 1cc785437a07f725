import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// Figures, not verdicts: each against a peer measured in the same run. Asked for with POSTERN_SANDBOX_SPEED=1, alone on the machine.
@Suite(.serialized, .enabled(if: getenv("POSTERN_SANDBOX_SPEED") != nil)) struct SpeedTests {
    private let clock = ContinuousClock()

    private func measure(_ count: Int, _ body: () async throws -> Void) async rethrows -> (median: Double, p95: Double) {
        var times: [Double] = []
        for _ in 0..<count {
            let time = try await clock.measure { try await body() }
            times.append(Double(time.components.attoseconds) / 1e15 + Double(time.components.seconds) * 1e3)
        }
        times.sort()
        return (times[count / 2], times[count * 95 / 100])
    }

    /// posix_spawn and wait.
    private func spawn(_ command: [String]) {
        var pointers = command.map { strdup($0) } + [nil]
        var pid = pid_t()
        posix_spawn(&pid, command[0], nil, nil, &pointers, nil)
        waitpid(pid, nil, 0)
        for pointer in pointers { free(pointer) }
    }

    @Test func ofStartsAndCalls() async throws {
        for mode in Mode.possible {
            let spawner = try await Spawners.of(mode)
            let driver = try BubblewrapDriver(spawner: spawner)
            let scratch = try Scratch(mode)
            let start = try await measure(60) {
                let sandbox = try await driver.start(scratch.spec)
                await sandbox.stop()
            }
            let sandbox = try await driver.start(scratch.spec)
            let monitor = Processes.all().first {
                Processes.command(of: $0).first?.hasSuffix("bwrap") == true && Processes.parent(of: $0) == spawner.processID
            }
            let none = try await measure(300) { _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": ":"])) }
            let command = try await measure(300) {
                _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": "/usr/bin/true"]))
            }
            let read = try await measure(300) { _ = try await sandbox.call(ToolInvocation(id: "a", name: "glob", input: ["pattern": "x"])) }
            let outside = await measure(300) { spawn(["/usr/bin/true"]) }
            print(
                "\(mode): start and stop \(start)  `:` \(none)  true in the warm shell \(command)  posix_spawn of true outside \(outside)  glob \(read)  [ms: median, p95]"
            )
            if mode == .user, let monitor {
                var raw = Processes.command(of: monitor)
                raw.removeLast(2)
                // As the same user, whose own spawn is measured beside it.
                let prefix = mode.configuration.prefix
                let bare = await measure(60) { spawn(prefix + raw + ["/bin/true"]) }
                let setting = await measure(60) { spawn(prefix + ["/bin/true"]) }
                print("raw bwrap with the same arguments, /bin/true: \(bare), of which setpriv and true alone: \(setting)")
                print("ARGS", raw)
            }
            await sandbox.stop()
            var ready: [Double] = []
            for _ in 0..<60 {
                let begin = clock.now
                let sandbox = try await driver.start(scratch.spec)
                let time = clock.now - begin
                ready.append(Double(time.components.attoseconds) / 1e15)
                await sandbox.stop()
            }
            print("\(mode): start until it answers \(ready.sorted()[30]) ms median, \(ready.sorted()[57]) p95")
            await scratch.remove(spawner)
        }
    }

    @Test func ofMemory() async throws {
        let mode = Mode.possible[0]
        let spawner = try await Spawners.of(mode)
        let driver = try BubblewrapDriver(spawner: spawner)
        let scratch = try Scratch(mode)
        var sandboxes: [any Sandbox] = []
        for number in 0..<50 {
            let spec = SandboxSpec(
                sessionID: "s", workspace: .managed(directory: "\(scratch.path)/w/\(number)"), toolOutputs: "\(scratch.path)/o/\(number)")
            let sandbox = try await driver.start(spec)
            _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": ":"]))
            sandboxes.append(sandbox)
        }
        var proportional = 0
        for sandbox in sandboxes {
            guard let user = (sandbox as? RunningSandbox)?.user else { continue }
            for pid in Processes.ofUser(user) {
                proportional += Processes.field("Pss", of: pid, in: "smaps_rollup")?.split(separator: " ").first.flatMap { Int($0) } ?? 0
            }
        }
        print("memory of a warm sandbox (bwrap, postern-init, bash; Pss, 50 of them): \(proportional / 50) KiB")
        for sandbox in sandboxes { await sandbox.stop() }
        await scratch.remove(spawner)
    }
}
