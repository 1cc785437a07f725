/// Headings of the CIS benchmarks for Docker and Kubernetes. Their numbers change between editions and are left out.
enum BenchmarkControls {
    typealias Row = ControlMap.Row

    static func docker(_ values: ControlValues) -> [Row] {
        func row(_ control: String, _ settings: [ControlMap.Setting], _ layers: [ControlMap.Layer], _ holds: String, _ gap: String) -> Row {
            Row(catalogue: .docker, control: control, settings: settings, layers: layers, holds: holds, gap: gap)
        }
        return [
            row(
                "AppArmor or SELinux profile", [], [.Landlock],
                "Landlock, with the newest ABI of the kernel from 2 to 6, restricts files, devices and sockets",
                "Postern sets no AppArmor profile and no SELinux label"),
            row(
                "Linux kernel capabilities restricted; no privileged containers", [], [.namespaces],
                "No process has a capability; no key can give one",
                "None that is known"),
            row(
                "No additional privileges; default seccomp profile not disabled", [], [.`init`, .seccomp],
                "No new privileges, and a filter on every process, neither of which a policy can lift", "None that is known"),
            row(
                "Sensitive host directories and the container engine's socket not mounted", [values.read, values.write], [.mounts, .policy],
                "Only trees that this policy names are bound. `/proc`, `/sys`, `/dev`, `/boot`, credentials of the system and sockets of engines cannot be named",
                "Whether a tree that is named is sensitive, its owner knows"),
            row(
                "Host's network namespace not shared; privileged ports not mapped", [values.forwards], [.network],
                "Loopback only; no port of the host leads into a sandbox", "None that is known"),
            row(
                "Host's process, IPC, UTS and user namespaces not shared", [], [.namespaces], "All of them are the sandbox's own",
                "None that is known"),
            row(
                "Memory usage limited", [values.limit("memory"), values.limit("temporary")], [.limits],
                values.holding("memory", "By control group, with `/tmp`, home and `/dev/shm`"),
                gap("Without control groups each process is bounded by itself", values.unbounded("memory"))),
            row(
                "CPU priority set", [values.limit("cpu")], [.limits], values.holding("cpu", "By control group"),
                gap("Without control groups processor time is not bounded", values.unbounded("cpu"))),
            row(
                "PIDs limit used", [values.limit("processes")], [.limits], values.holding("processes", "By control group and `RLIMIT_NPROC`"),
                gap("Under a worker that is not root and has no control group, sessions share the count", values.unbounded("processes"))),
            row(
                "Default ulimits overwritten", [values.limit("open_files"), values.limit("file_size")], [.limits, .`init`],
                "Set before the first program runs; core files are off", gap("None that is known", values.unbounded("open_files", "file_size"))),
            row(
                "Root file system mounted read-only", [values.workspace], [.mounts],
                "`/`, `/usr`, `/etc` and `/dev` are read-only; temporary folders are private and sized", "The workspace is written as its mode says"),
            row(
                "Host devices not exposed", [], [.mounts, .seccomp],
                "The standard pseudo-devices (`null`, `zero`, `full`, `random`, `urandom`, `tty`, terminals) only",
                "None that is known"),
            row(
                "Disk usage", [values.limit("disk"), values.limit("inodes")], [.limits],
                values.holding("disk", "By the file system's quota of the session's user"),
                gap("Where there is no quota it is measured while programs run and acted upon late", values.unbounded("disk", "inodes"))),
        ]
    }

    static func kubernetes(_ values: ControlValues) -> [Row] {
        func row(_ control: String, _ settings: [ControlMap.Setting], _ layers: [ControlMap.Layer], _ holds: String, _ gap: String) -> Row {
            Row(catalogue: .kubernetes, control: control, settings: settings, layers: layers, holds: holds, gap: gap)
        }
        return [
            row(
                "Privileged containers, privilege escalation and added capabilities", [], [.namespaces, .`init`],
                "None of them exists here, and no policy can ask for one", "Jobs of the Kubernetes launcher are the cluster's to hold"),
            row(
                "Sharing of the host's process ID, IPC and network namespaces", [], [.namespaces, .network], "Each is the sandbox's own", "As above"),
            row(
                "Root containers", [], [.user, .namespaces], "User 1000 inside, never user 0 outside",
                "Of a worker that was started as root, the spawner stays root"),
            row(
                "HostPath volumes", [values.read, values.write], [.mounts, .policy],
                "Absolute paths that this policy names, opened once by descriptor",
                "Whatever is bound writable is the agent's to change"),
            row("HostPorts", [], [.network], "A sandbox cannot listen where the host or another session could reach it", "None that is known"),
            row(
                "Network policies defined", [values.rules, values.forwards], [.network, .proxy],
                values.hasNetwork ? "Deny by default; the rules of this policy are the exceptions" : "Deny, without exception in this policy",
                values.openRules ?? "None that is known"),
            row(
                "Secrets as files rather than environment variables; external secret storage", [values.secrets], [.proxy, .worker],
                "Values come from files, the worker's variables or Vault and stay in the perimeter. A variable inside holds a placeholder",
                "The proxy process holds the values of its sessions in memory while it runs"),
            row("Seccomp profile set", [], [.seccomp], "Compiled in; `postern sandbox seccomp` prints it", "None that is known"),
        ]
    }

    private static func gap(_ text: String, _ unbounded: String?) -> String {
        guard let unbounded else { return text }
        return text == "None that is known" ? unbounded : "\(unbounded). \(text)"
    }
}
