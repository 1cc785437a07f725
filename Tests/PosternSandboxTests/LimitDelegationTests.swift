import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// An ordinary user's worker to which root has given control groups of its own (systemd's Delegate=), and file systems that keep quotas.
@Suite(.serialized, .enabled(if: geteuid() == 0)) struct LimitDelegationTests {
    /// Groups of the ordinary user, one in each tree, and the prefix that starts a spawner in them.
    private static func delegated(_ body: ([String], Spawner.Configuration) async throws -> Void) async throws {
        let layout = CgroupLayout(mountInfo: Processes.text("/proc/self/mountinfo") ?? "", groups: Processes.text("/proc/self/cgroup") ?? "") {
            Processes.text($0 + "/cgroup.controllers")
        }
        let folders = [layout.hierarchy(of: .memory), layout.hierarchy(of: .pids), layout.unified].compactMap { $0?.folder }
            .map { $0 + "/postern-test-\(getpid())" }
        for folder in folders {
            mkdir(folder, 0o755)
            chown(folder, Mode.userID, Mode.userID)
            for name in ["cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"] { chown("\(folder)/\(name)", Mode.userID, Mode.userID) }
        }
        var configuration = Mode.user.configuration
        let joining = folders.map { "echo $$ > \($0)/cgroup.procs" }.joined(separator: "; ")
        configuration.prefix = ["/bin/sh", "-c", "\(joining); exec \"$@\"", "sh"] + configuration.prefix
        let result: Result<Void, any Error>
        do { result = .success(try await body(folders, configuration)) } catch { result = .failure(error) }
        for folder in folders { for _ in 0..<200 where rmdir(folder) != 0 { usleep(10_000) } }
        try result.get()
    }

    @Test func usesWhatHasBeenDelegated() async throws {
        try await Self.delegated { folders, configuration in
            let spawner = try await Spawner.launch(configuration)
            let scratch = try Scratch(.user)
            var spec = scratch.spec
            spec.limits.memoryBytes = 128 << 20
            let started = try await BubblewrapDriver(spawner: spawner).start(spec)
            let sandbox = try #require(started as? RunningSandbox)
            for limit in [LimitReport.Limit.memory, .processes, .freeze] {
                guard case .kernel(let by) = sandbox.limitReport[limit] else {
                    Issue.record("\(limit): \(String(describing: sandbox.limitReport[limit]))")
                    continue
                }
                #expect(by.hasPrefix("cgroup v"), "\(limit)")
            }
            let hog = try await sandbox.call(
                ToolInvocation(id: "a", name: "bash", input: ["command": "python3 -c 'x = [bytearray(1 << 20) for _ in range(1000)]'"]))
            #expect(hog.text.contains("[memory limit: the sandbox may use 128 MiB"), "\(hog.text)")
            try await sandbox.freeze()
            try await sandbox.thaw()
            #expect(try await sandbox.call(ToolInvocation(id: "b", name: "bash", input: ["command": "echo on"])).text.hasSuffix("on"))
            await sandbox.stop()
            await scratch.remove(try await Spawners.of(.user))
            await spawner.close()
            // An orderly end leaves nothing.
            for folder in folders { #expect(Files.all(folder).filter { $0.contains("postern-sandboxes-") }.isEmpty, "\(folder)") }
        }
    }

    /// A file system that keeps quotas of users bounds the workspace by itself.
    @Test(.enabled(if: access("/sbin/mkfs.ext4", X_OK) == 0 && access("/dev/loop-control", W_OK) == 0))
    func boundsTheWorkspaceByQuota() async throws {
        let spawner = try await Spawners.of(.root)
        let scratch = try Scratch(.root)
        let (image, folder) = (scratch.path + "/image", scratch.path + "/mount")
        mkdir(folder, 0o755)
        let made = Self.run(
            "truncate -s 96M \(image) && mkfs.ext4 -q -O quota -E quotatype=usrquota \(image) && mount -o loop,usrquota \(image) \(folder) && chmod 711 \(folder)"
        )
        guard made == 0 else {
            print("limits: the kernel keeps no quotas (CONFIG_QFMT_V2), so that the hard limit of the disk is not tested on this machine")
            await scratch.remove(spawner)
            return
        }
        defer { _ = Self.run("umount \(folder)") }
        var spec = scratch.spec
        spec.workspace = .managed(directory: folder + "/w")
        spec.toolOutputs = folder + "/o"
        spec.limits.diskBytes = 8 << 20
        spec.limits.inodes = 100
        let started = try await BubblewrapDriver(spawner: spawner).start(spec)
        let sandbox = try #require(started as? RunningSandbox)
        guard case .kernel(let by) = sandbox.limitReport[.disk] else {
            Issue.record("\(String(describing: sandbox.limitReport[.disk]))")
            return
        }
        #expect(by.hasPrefix("quota of user "))
        func sh(_ command: String) async throws -> ToolOutcome {
            try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": .string(command)]))
        }
        let filler = try await sh("head -c 32M /dev/zero > fill")
        #expect(
            filler.isError && filler.text.contains("[disk limit: ") && filler.text.contains(" full. /tmp and ")
                && filler.text.contains("the workspace 8 MiB in at most 100 files"), "\(filler.text)")
        let files = try await sh("rm fill; for i in $(seq 200); do : > f$i || exit 1; done")
        #expect(files.isError && files.text.contains("[disk limit:"), "\(files.text)")
        #expect(try await sh("rm -f f*; echo fine > x; cat x").text.hasSuffix("fine"))
        await sandbox.stop()
        for path in [folder + "/w", folder + "/o"] { try await spawner.removeFolder(path) }
        _ = Self.run("umount \(folder)")
        await scratch.remove(spawner)
    }

    private static func run(_ command: String) -> Int32 {
        var pid: pid_t = 0
        let words: [String] = ["/bin/sh", "-c", "PATH=/usr/sbin:/sbin:/usr/bin:/bin; \(command)"]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        guard posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, nil) == 0 else { return -1 }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        return status
    }
}
