import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The sandbox against bare bubblewrap, and a command in a warm one against the same command outside.
struct SandboxBench {
    let isQuick: Bool

    func rows() async throws -> [BenchRow] {
        do {
            let scratch = try ScratchFolder("postern-bench")
            defer { scratch.remove() }
            let spawner = try await Spawner.launch()
            let driver = try BubblewrapDriver(spawner: spawner)
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            defer { close(null) }
            let start = try await starts(driver, scratch.path, null)
            let commands = try await commands(driver, scratch.path, null)
            for name in try FolderNames.of(scratch.path) { try? await spawner.removeFolder(scratch.path + "/" + name) }
            await spawner.close()
            return [start, commands]
        } catch let error as SandboxError {
            throw CommandError(.sandboxFailed, error.message)
        }
    }

    private func spec(_ folder: String, _ name: String) -> SandboxSpec {
        SandboxSpec(sessionID: name, workspace: .managed(directory: "\(folder)/\(name)"), toolOutputs: "\(folder)/\(name)-outputs")
    }

    /// From the request to a sandbox that answers, against bubblewrap with the same binds running /bin/true.
    private func starts(_ driver: BubblewrapDriver, _ folder: String, _ null: Int32) async throws -> BenchRow {
        var own: [Double] = []
        var peer: [Double] = []
        let bubblewrap = Self.bareBubblewrap(driver.spawner.greeting.bubblewrap ?? "bwrap", folder)
        for round in 0...(isQuick ? 10 : 50) {
            let clock = ContinuousClock.now
            let sandbox = try await driver.start(spec(folder, "start\(round)"))
            let time = (ContinuousClock.now - clock) / .milliseconds(1)
            await sandbox.stop()
            let bare = try Self.outside(bubblewrap, null)
            guard round > 0 else { continue }
            own.append(time)
            peer.append(bare)
        }
        return BenchRow(
            name: "sandbox start", unit: "ms", samples: own, peerName: "bwrap /bin/true, same binds", peer: peer, sense: "cost", floor: 2, aim: 1.5)
    }

    /// `/bin/true` in a sandbox that runs already, against `posix_spawn` of it here.
    private func commands(_ driver: BubblewrapDriver, _ folder: String, _ null: Int32) async throws -> BenchRow {
        var own: [Double] = []
        var peer: [Double] = []
        let sandbox = try await driver.start(spec(folder, "warm"))
        for round in 0...(isQuick ? 50 : 400) {
            let clock = ContinuousClock.now
            _ = try await sandbox.execute(["/bin/true"], stdin: null, stdout: null, stderr: null)
            let time = (ContinuousClock.now - clock) / .milliseconds(1)
            let outside = try Self.outside(["/bin/true"], null)
            guard round > 0 else { continue }
            own.append(time)
            peer.append(outside)
        }
        await sandbox.stop()
        return BenchRow(
            name: "command in a warm sandbox", unit: "ms", samples: own, peerName: "posix_spawn outside", peer: peer, sense: "cost", floor: 3,
            aim: 1.5)
    }

    /// Bubblewrap with the namespaces and binds of a session's sandbox (postern-init, BubblewrapPlan) and nothing of ours in it.
    private static func bareBubblewrap(_ path: String, _ folder: String) -> [String] {
        var arguments = [
            path, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup", "--die-with-parent",
            "--new-session", "--as-pid-1", "--cap-drop", "ALL", "--clearenv", "--hostname", "sandbox", "--uid", "1000", "--gid", "1000",
            "--ro-bind", "/usr", "/usr",
        ]
        for name in ["bin", "sbin", "lib", "lib64"] where TextFile.exists("/\(name)") { arguments += ["--symlink", "usr/\(name)", "/\(name)"] }
        arguments += ["--tmpfs", "/etc"]
        for name in ["alternatives", "ld.so.cache", "localtime", "ssl"] where TextFile.exists("/etc/\(name)") {
            arguments += ["--ro-bind", "/etc/\(name)", "/etc/\(name)"]
        }
        arguments += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
        for name in ["keys", "key-users", "kallsyms", "timer_list", "sysrq-trigger"] where TextFile.exists("/proc/\(name)") {
            arguments += ["--ro-bind", "/dev/null", "/proc/\(name)"]
        }
        for name in ["acpi", "scsi", "asound"] where TextFile.exists("/proc/\(name)") {
            arguments += ["--tmpfs", "/proc/\(name)", "--remount-ro", "/proc/\(name)"]
        }
        return arguments + [
            "--dev", "/dev", "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--tmpfs", "/tmp", "--dir", "/var", "--symlink", "../tmp", "/var/tmp",
            "--tmpfs", "/home/agent", "--bind", folder, "/workspace", "--bind", folder, "/mnt/session/tool_outputs", "--chdir", "/workspace",
            "--remount-ro", "/", "--", "/bin/true",
        ]
    }

    /// Milliseconds from `posix_spawn` to the end of the program. Blocks the thread: it is a bench, and nothing else runs.
    private static func outside(_ command: [String], _ null: Int32) throws(CommandError) -> Double {
        var argv: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in Int32(0)...2 { posix_spawn_file_actions_adddup2(&actions, null, descriptor) }
        var pid = pid_t()
        let start = ContinuousClock.now
        guard posix_spawn(&pid, command[0], &actions, nil, &argv, &envp) == 0 else { throw CommandError(.failure, "cannot start \(command[0])") }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        let time = (ContinuousClock.now - start) / .milliseconds(1)
        guard status == 0 else { throw CommandError(.failure, "\(command[0]) ended with status \(status)") }
        return time
    }
}

/// The names in a folder.
private enum FolderNames {
    static func of(_ path: String) throws(CommandError) -> [String] {
        guard let folder = opendir(path) else { throw CommandError(.failure, "cannot list \(path)") }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
