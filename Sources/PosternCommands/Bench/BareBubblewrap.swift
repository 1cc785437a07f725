/// The command line that bubblewrap alone needs for a sandbox like a session's.
enum BareBubblewrap {
    /// Bubblewrap with the namespaces and binds of a session's sandbox (postern-init, BubblewrapPlan) and nothing of ours in it.
    static func command(_ path: String, _ folder: String) -> [String] {
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
}
