import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

@Suite struct SpawnerTests {
    /// W16: two sessions share nothing.
    @Test(arguments: Mode.possible) func separatesSessions(mode: Mode) async throws {
        try await Box.with(mode) { (one: Box) async throws in
            try await Box.with(mode) { (two: Box) async throws in
                if mode == .root {
                    #expect(one.sandbox.user != two.sandbox.user)
                    #expect((210_000...219_999).contains(one.sandbox.user) && (210_000...219_999).contains(two.sandbox.user))
                }
                _ = try await one.sh(
                    "echo secret > /workspace/mine; echo secret > /tmp/mine; echo secret > /dev/shm/mine; sleep 1000 & python3 -c 'import socket;s=socket.socket(1);s.bind(\"\\0name\");s.listen()' 2>/dev/null; true"
                )
                let look =
                    "ls -A /workspace /tmp /dev/shm /mnt/session/tool_outputs; ls -d /proc/[0-9]* | wc -l; cat /proc/*/comm | grep -c sleep; kill -9 -1; ls \(one.scratch.workspace)"
                let seen = try await two.sh(look)
                #expect(!seen.contains("mine") && seen.contains("\n0\n") && !seen.contains("secret"), "\(seen)")
                #expect(try await one.sh("jobs -r | wc -l; cat /workspace/mine") == "1\nsecret")
                #expect(try await one.sh("hostname; readlink /proc/self/ns/net") != two.sh("hostname; readlink /proc/self/ns/net"))
            }
        }
    }

    @Test(arguments: Mode.possible) func diesWithItsSpawner(mode: Mode) async throws {
        let spawner = try await Spawner.launch(mode.configuration)
        let scratch = try Scratch(mode)
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        _ = try await sandbox.call(
            ToolInvocation(
                id: "a", name: "bash",
                input: ["command": .string("setsid sleep \(mode.seconds(54321)) & (setsid sh -c 'sleep \(mode.seconds(54321)) &' &)")]))
        let mine = await running("\(mode.seconds(54321))")
        // Not its parent's doing: the kernel's.
        kill(spawner.processID, SIGKILL)
        #expect(await sandbox.ended() != "")
        await spawner.close()
        await gone(mine)
        await scratch.remove(try await Spawners.of(mode))
    }

    /// Whoever stops a service, or a launcher its run, may tell every process of it to end: the worker decides when its sandboxes do.
    @Test(arguments: Mode.possible, [SIGTERM, SIGINT, SIGHUP]) func outlivesAPoliteSignal(mode: Mode, signal: Int32) async throws {
        let spawner = try await Spawner.launch(mode.configuration)
        let scratch = try Scratch(mode)
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        let tree = Processes.tree(below: spawner.processID)
        // The spawner, bubblewrap and process 1 at least.
        #expect(tree.count >= 3)
        for pid in tree { kill(pid, signal) }
        // The shell inside is a program like any other and may end by it; the call after that finds another.
        let echo = ToolInvocation(id: "a", name: "bash", input: ["command": "echo here"])
        _ = try await sandbox.call(echo)
        let outcome = try await sandbox.call(echo)
        #expect(outcome.text.hasSuffix("here"), "\(outcome.text)")
        await sandbox.stop()
        await spawner.close()
        await scratch.remove(try await Spawners.of(mode))
    }

    /// The same when the worker closes its end, which is what the kernel does for a worker that is killed.
    @Test(arguments: Mode.possible) func diesWithItsWorker(mode: Mode) async throws {
        let spawner = try await Spawner.launch(mode.configuration)
        let scratch = try Scratch(mode)
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": .string("setsid sleep \(mode.seconds(54322)) &")]))
        let mine = await running("\(mode.seconds(54322))")
        await spawner.close()
        await gone(mine)
        await scratch.remove(try await Spawners.of(mode))
    }

    @Test(arguments: Mode.possible) func stopsEverything(mode: Mode) async throws {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": .string("setsid sleep \(mode.seconds(54323)) &")]))
        let mine = await running("\(mode.seconds(54323))")
        await sandbox.stop()
        // When stop returns it is so; no waiting.
        for pid in mine { #expect(Processes.command(of: pid) != ["sleep", "\(mode.seconds(54323))"]) }
        await scratch.remove(spawner)
    }

    /// The processes `sleep <seconds>`, once there is one.
    private func running(_ seconds: String) async -> [Int32] {
        while true {
            let found = Processes.all().filter { Processes.command(of: $0) == ["sleep", seconds] }
            if !found.isEmpty { return found }
            await Task.yield()
        }
    }

    /// Waits for the kernel to finish with processes that are to end.
    private func gone(_ pids: [Int32]) async {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(10)
        while pids.contains(where: { Processes.command(of: $0).first == "sleep" }), clock.now < deadline { await Task.yield() }
        for pid in pids { #expect(Processes.command(of: pid).first != "sleep") }
    }

    @Test func refusesWithoutBubblewrap() async throws {
        var configuration = Mode.possible[0].configuration
        configuration.bubblewrap = "/nonexistent/bwrap"
        let spawner = try await Spawner.launch(configuration)
        #expect(spawner.greeting.bubblewrap == nil)
        let error = #expect(throws: SandboxError.self) { _ = try BubblewrapDriver(spawner: spawner) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("apt-get install bubblewrap") == true)
        let refusal = SandboxProbe(spawner: spawner.greeting).refusal
        #expect(refusal?.contains("bubblewrap: not found (install the package 'bubblewrap'") == true)
        await spawner.close()
    }

    @Test func saysWhatBubblewrapSaid() async throws {
        var configuration = Mode.possible[0].configuration
        // A program that takes bubblewrap's place and fails as it does.
        configuration.bubblewrap = "/bin/false"
        let spawner = try await Spawner.launch(configuration)
        let scratch = try Scratch()
        let error = await #expect(throws: SandboxError.self) { try await BubblewrapDriver(spawner: spawner).start(scratch.spec) }
        #expect(error?.code == .startFailed)
        await scratch.remove(spawner)
        await spawner.close()
    }

    @Test func probesTheMachine() async throws {
        let probe = SandboxProbe(spawner: try await Spawners.of(Mode.possible[0]).greeting)
        #expect(probe.refusal == nil)
        #expect(Set(probe.findings.map(\.name)).isSuperset(of: ["kernel", "user namespaces", "bubblewrap", "seccomp", "Landlock", "cgroups"]))
        #expect(probe.findings.allSatisfy { $0.verdict == .good || !$0.remedy.isEmpty })
    }

    @Test(.enabled(if: geteuid() == 0)) func mapsTheOwnerOfAUsersFolder() async throws {
        for owner in [0, 4321] as [UInt32] {
            try await Box.with(
                .root,
                change: { spec, scratch in
                    let folder = scratch.path + "/folder"
                    mkdir(folder, 0o700)
                    close(open(folder + "/old", O_CREAT | O_WRONLY, 0o600))
                    chown(folder + "/old", owner, owner)
                    chown(folder, owner, owner)
                    spec.workspace = .folder(folder)
                }
            ) { (box: Box) async throws in
                #expect(try await box.sh("echo new > new; echo more >> old; mkdir sub; stat -c '%u %g' . old new sub | sort -u") == "1000 1000")
                for name in ["", "/old", "/new", "/sub"] {
                    var info = stat()
                    #expect(lstat(box.scratch.path + "/folder" + name, &info) == 0)
                    #expect(info.st_uid == owner && info.st_gid == owner, "\(name)")
                }
                #expect(box.sandbox.user != 0)
                #expect(!Processes.ofUser(box.sandbox.user).isEmpty)
            }
        }
    }

    @Test func servesReadOnlyWorkspaces() async throws {
        try await Box.with(change: { spec, _ in spec.isWorkspaceReadOnly = true }) { (box: Box) async throws in
            #expect(try await box.sh("touch x").contains("Read-only file system"))
            #expect(try await box.call("write", ["file_path": "x", "content": "x"]).text == "write: x: read-only file system")
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func keepsASessionsUserAndGivesItToNobodyElse() async throws {
        let spawner = try await Spawners.of(.root)
        let driver = try BubblewrapDriver(spawner: spawner)
        let scratch = try Scratch(.root)
        func spec(_ name: String) -> SandboxSpec {
            SandboxSpec(sessionID: name, workspace: .managed(directory: "\(scratch.path)/w/\(name)"), toolOutputs: "\(scratch.path)/o/\(name)")
        }
        func user(_ name: String) async throws -> (any Sandbox, Int) {
            let sandbox = try await driver.start(spec(name))
            return (sandbox, (sandbox as? RunningSandbox)?.user ?? 0)
        }
        let (first, firstUser) = try await user("a")
        var info = stat()
        #expect(lstat("\(scratch.path)/w/a", &info) == 0 && Int(info.st_uid) == firstUser && info.st_mode & 0o777 == 0o700)
        // Its folders are in use: a second sandbox over them is refused.
        await #expect(throws: SandboxError.self) { try await driver.start(spec("a")) }
        await first.stop()
        let (second, secondUser) = try await user("b")
        #expect(secondUser != firstUser)
        await second.stop()
        let (again, againUser) = try await user("a")
        #expect(againUser == firstUser)
        await again.stop()
        await scratch.remove(spawner)
    }

    @Test(arguments: Mode.possible) func removesFoldersWithoutFollowingLinks(mode: Mode) async throws {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        let host = try HostAims()
        defer { host.remove() }
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        let mess =
            "ln -s \(host.folder) out; mkdir -p a/b; ln -s /etc a/b/etc; mkfifo f; for i in $(seq 400); do mkdir dddddddddddddddd; cd dddddddddddddddd; done; touch end; cd /workspace; mkdir shut; touch shut/x; chmod 0 a/b"
        _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": .string(mess)]))
        await sandbox.stop()
        try await spawner.removeFolder(scratch.workspace)
        try await spawner.removeFolder(scratch.workspace)
        #expect(access(scratch.workspace, F_OK) != 0)
        #expect(host.isUntouched)
        await #expect(throws: SandboxError.self) { try await spawner.removeFolder(scratch.path + "/..") }
        await scratch.remove(spawner)
    }

    @Test func refusesLinksAsFolders() async throws {
        let scratch = try Scratch()
        symlink("/etc", scratch.path + "/link")
        let driver = try BubblewrapDriver(spawner: try await Spawners.of(Mode.possible[0]))
        for workspace in [WorkspaceSource.folder(scratch.path + "/link"), .managed(directory: scratch.path + "/link"), .folder("/nonexistent")] {
            var spec = scratch.spec
            spec.workspace = workspace
            await #expect(throws: SandboxError.self) { try await driver.start(spec) }
        }
        await scratch.remove(driver.spawner)
    }

    @Test(arguments: Mode.possible) func runsWithoutABoundaryWhenAsked(mode: Mode) async throws {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        let sandbox = try await NoneDriver(spawner: spawner).start(scratch.spec)
        func call(_ name: String, _ input: JSON) async throws -> String {
            try await sandbox.call(ToolInvocation(id: "a", name: name, input: input)).text
        }
        let first = try await call("bash", ["command": "pwd; id -u | grep -cx 0"])
        #expect(first == "\(scratch.workspace)\n0")
        #expect(try await call("write", ["file_path": "f", "content": "x"]) == "wrote 1 bytes to f")
        #expect(try await call("glob", ["pattern": "*"]) == "\(scratch.workspace)/f")
        let timed = try await call(
            "bash", ["command": .string("setsid sleep \(mode.seconds(54324)) & sleep \(mode.seconds(54324))"), "timeout_ms": 200])
        #expect(timed.hasPrefix("bash: bash command timed out after 0.2s"))
        #expect(!Processes.all().contains { Processes.command(of: $0) == ["sleep", "\(mode.seconds(54324))"] })
        await sandbox.stop()
        await scratch.remove(spawner)
    }

    @Test func refusesToBeRoot() async throws {
        let spawner = try await Spawners.of(Mode.possible[0])
        #expect(spawner.greeting.isRoot == (geteuid() == 0))
        var configuration = Mode.possible[0].configuration
        configuration.users = 0...10
        await #expect(throws: SandboxError.self) { try await Spawner.launch(configuration) }
    }
}
