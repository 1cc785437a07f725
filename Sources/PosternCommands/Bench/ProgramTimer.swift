#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Times whole runs of programs. Blocks the thread: it is a bench, and nothing else runs.
struct ProgramTimer {
    /// Milliseconds from `posix_spawn` to the end of the program, whose streams are `null`. Throws if it cannot be started or fails.
    static func run(_ command: [String], _ null: Int32) throws(CommandError) -> Double {
        var argv: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        // HOME: firejail reads the user's own settings there and refuses to start without it.
        var envp: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), strdup("HOME=/tmp"), nil]
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
        guard status == 0 else {
            let end = status & 0x7F == 0 ? "exit status \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
            throw CommandError(.failure, "\(command[0]) ended with \(end)")
        }
        return time
    }
}
