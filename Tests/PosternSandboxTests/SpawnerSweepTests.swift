import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// What a killed worker has left is gone when the next one has started.
@Suite(.serialized) struct SpawnerSweepTests {
    private func configuration(_ users: ClosedRange<UInt32>) -> Spawner.Configuration {
        var configuration = Mode.root.configuration
        configuration.users = users
        return configuration
    }

    /// The folders of the control groups of Postern's that `pid` is in.
    private func groups(of pid: Int32) -> [String] {
        var found: Set<String> = []
        let mounts = (Processes.text("/proc/mounts") ?? "").split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        let lines = (Processes.text("/proc/\(pid)/cgroup") ?? "").split(separator: "\n")
        for mount in mounts where mount.count > 2 && mount[2].hasPrefix("cgroup") {
            for line in lines where line.contains("postern-sandboxes-") {
                let path = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).last.map(String.init) ?? ""
                if access(mount[1] + path, F_OK) == 0 { found.insert(mount[1] + path) }
            }
        }
        return Array(found)
    }

    @Test(.enabled(if: geteuid() == 0)) func sweepsWhatAKilledSpawnerLeft() async throws {
        let users: ClosedRange<UInt32> = 231_000...231_003
        let scratch = try Scratch(.root)
        let first = try await Spawner.launch(configuration(users))
        let sandbox = try await BubblewrapDriver(spawner: first).start(scratch.spec)
        let user = (sandbox as? RunningSandbox)?.user ?? 0
        let inside = try #require(Processes.ofUser(user).first)
        let groups = groups(of: inside)
        #expect(!groups.isEmpty)
        // A process that outlives its sandbox, in the sandbox's own group and as its user.
        let survivor = try #require(
            try Self.spawn(["/usr/bin/setpriv", "--reuid", "\(user)", "--regid", "\(user)", "--clear-groups", "sleep", "54350"]))
        for group in groups { try Self.write("\(survivor)", to: group + "/cgroup.procs") }
        kill(first.processID, SIGKILL)
        _ = await sandbox.ended()
        await first.close()
        #expect(kill(survivor, 0) == 0)
        #expect(groups.contains { access($0, F_OK) == 0 })

        let second = try await Spawner.launch(configuration(users))
        // Dead, and waited for here, whose child it is.
        var status: Int32 = 0
        #expect(waitpid(survivor, &status, 0) == survivor && status & 0x7F == SIGKILL)
        for group in groups { #expect(access(group, F_OK) != 0, "\(group)") }
        let again = try await BubblewrapDriver(spawner: second).start(scratch.spec)
        #expect((again as? RunningSandbox)?.user == user)
        await again.stop()
        await scratch.remove(second)
        await second.close()
    }

    /// A user of whom something runs is given to nobody.
    @Test(.enabled(if: geteuid() == 0)) func givesNobodyAUserThatIsBusy() async throws {
        let users: ClosedRange<UInt32> = 231_010...231_011
        let stranger = try #require(
            try Self.spawn(["/usr/bin/setpriv", "--reuid", "231010", "--regid", "231010", "--clear-groups", "sleep", "54351"]))
        // A test that fails must not leave its stranger to the next run.
        var isStranger = true
        func removeStranger() {
            guard isStranger else { return }
            isStranger = false
            kill(stranger, SIGKILL)
            waitpid(stranger, nil, 0)
        }
        defer { removeStranger() }
        while Processes.ofUser(231_010).isEmpty { await Task.yield() }
        let spawner = try await Spawner.launch(configuration(users))
        let driver = try BubblewrapDriver(spawner: spawner)
        let scratch = try Scratch(.root)
        func spec(_ name: String) -> SandboxSpec {
            SandboxSpec(sessionID: name, workspace: .managed(directory: "\(scratch.path)/w/\(name)"), toolOutputs: "\(scratch.path)/o/\(name)")
        }
        let only = try await driver.start(spec("a"))
        #expect((only as? RunningSandbox)?.user == 231_011)
        let error = await #expect(throws: SandboxError.self) { try await driver.start(spec("b")) }
        #expect(error?.message.contains("every user from 231010 to 231011 is taken") == true)
        removeStranger()
        let other = try await driver.start(spec("b"))
        #expect((other as? RunningSandbox)?.user == 231_010)
        // Another spawner of the same machine and range does not get them either.
        let rival = try await Spawner.launch(configuration(users))
        await #expect(throws: SandboxError.self) { try await BubblewrapDriver(spawner: rival).start(spec("c")) }
        await rival.close()
        await only.stop()
        await other.stop()
        await scratch.remove(spawner)
        await spawner.close()
    }

    /// Two workers of one machine: a session that rests keeps its user from the other's sessions, also when only its folder is left to tell, and
    /// until that folder is gone.
    @Test(.enabled(if: geteuid() == 0)) func keepsTheUserOfASessionThatRests() async throws {
        let configuration = configuration(231_020...231_021)
        let scratch = try Scratch(.root)
        func spec(_ worker: String, _ name: String) -> SandboxSpec {
            let folder = "\(scratch.path)/\(worker)"
            return SandboxSpec(sessionID: name, workspace: .managed(directory: "\(folder)/w/\(name)"), toolOutputs: "\(folder)/o/\(name)")
        }
        func user(_ spawner: Spawner, _ worker: String, _ name: String) async throws -> Int? {
            let sandbox = try await BubblewrapDriver(spawner: spawner).start(spec(worker, name))
            await sandbox.stop()
            return (sandbox as? RunningSandbox)?.user
        }
        let first = try await Spawner.launch(configuration)
        let second = try await Spawner.launch(configuration)
        #expect(try await user(first, "a", "rests") == 231_020)
        // The other begins at the same number.
        #expect(try await user(second, "b", "new") == 231_021)
        #expect(try await user(first, "a", "rests") == 231_020)
        await #expect(throws: SandboxError.self) { try await user(second, "b", "third") }
        // The machine was started anew: /run is empty, and the first start of a worker finds its folders.
        await first.close()
        unlink("/run/postern-users/231020")
        let restarted = try await Spawner.launch(configuration)
        await #expect(throws: SandboxError.self) { try await user(restarted, "a", "another") }
        await #expect(throws: SandboxError.self) { try await user(second, "b", "third") }
        try await second.removeFolder("\(scratch.path)/a")
        #expect(try await user(second, "b", "third") == 231_020)
        await restarted.close()
        await scratch.remove(second)
        await second.close()
    }

    /// A session that comes back at once gets its user, whatever else the spawner is doing: its helpers inherit locks, which must not count.
    @Test(.enabled(if: geteuid() == 0)) func givesASessionItsUserBackAtOnce() async throws {
        let spawner = try await Spawners.of(.root)
        let driver = try BubblewrapDriver(spawner: spawner)
        let scratch = try Scratch(.root)
        let big = scratch.path + "/big"
        for number in 0..<8 {
            mkdir(big, 0o755)
            for entry in 0..<200 { mkdir("\(big)/\(entry)", 0o755) }
            let sandbox = try await driver.start(scratch.spec)
            let user = (sandbox as? RunningSandbox)?.user
            // A helper that was started while the user was held, and still runs when it is given back.
            async let removal: Void = spawner.removeFolder(big)
            await sandbox.stop()
            let again = try await driver.start(scratch.spec)
            #expect((again as? RunningSandbox)?.user == user, "\(number)")
            await again.stop()
            try await removal
        }
        await scratch.remove(spawner)
    }

    /// Nothing of a sandbox is left when `stop` returns, and its user's sweep has said so.
    @Test(.enabled(if: geteuid() == 0)) func leavesNoProcessOfItsUser() async throws {
        let spawner = try await Spawners.of(.root)
        let scratch = try Scratch(.root)
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        let user = (sandbox as? RunningSandbox)?.user ?? 0
        let command = "for i in 1 2 3 4 5; do (setsid sh -c 'trap \"\" TERM HUP; sleep 54352 & sleep 54352' >/dev/null 2>&1 &); done"
        _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": .string(command)]))
        #expect(Processes.ofUser(user).count > 5)
        await sandbox.stop()
        #expect(Processes.ofUser(user).isEmpty)
        await scratch.remove(spawner)
    }

    private static func spawn(_ command: [String]) throws -> Int32? {
        var pid: pid_t = 0
        var arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        return posix_spawn(&pid, command[0], nil, nil, &arguments, nil) == 0 ? pid : nil
    }

    private static func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        defer { close(file) }
        #expect(Glibc.write(file, text, text.utf8.count) == text.utf8.count, "\(path)")
    }
}
