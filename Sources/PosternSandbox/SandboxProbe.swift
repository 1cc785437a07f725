import CPosternSandbox
import Glibc
import PosternSandboxWire

/// What this machine can do for a sandbox, and what to do about what it cannot; `postern doctor` prints it. Looking changes nothing.
package struct SandboxProbe: Sendable {
    package struct Finding: Sendable {
        package enum Verdict: String, Sendable {
            case good
            /// A layer is missing, the boundary stands.
            case degraded
            /// No boundary without it.
            case missing
        }
        package var name: String
        package var verdict: Verdict
        package var detail: String
        /// What to do; empty when all is well.
        package var remedy: String = ""
    }

    package var findings: [Finding]

    /// Why no boundary is possible here, with the remedies; `nil` when one is.
    package var refusal: String? {
        let missing = findings.filter { $0.verdict == .missing }
        guard !missing.isEmpty else { return nil }
        return "no sandbox is possible on this machine: " + missing.map { "\($0.name): \($0.detail) (\($0.remedy))" }.joined(separator: "; ")
    }

    package init(spawner: Spawner.Greeting) {
        self.init(bubblewrap: spawner.bubblewrap)
    }

    /// With the path of bubblewrap, `nil` for none.
    package init(bubblewrap: String?) {
        findings = [
            Self.kernel(), Self.userNamespaces(), Self.appArmor(bubblewrap), Self.bubblewrap(bubblewrap), Self.seccomp(), Self.landlock(),
            Self.cgroups(),
        ]
    }

    private static func kernel() -> Finding {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let parts = release.split { !$0.isNumber }.compactMap { Int($0) }
        // close_range (5.9) and openat2-era mount calls; idmapped mounts are 5.12.
        guard parts.count >= 2, (parts[0], parts[1]) >= (5, 12) else {
            return Finding(name: "kernel", verdict: .missing, detail: release, remedy: "use Linux 5.12 or later")
        }
        return Finding(name: "kernel", verdict: .good, detail: release)
    }

    private static func userNamespaces() -> Finding {
        let name = "user namespaces"
        if contents("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
            return Finding(
                name: name, verdict: .missing, detail: "kernel.unprivileged_userns_clone is 0", remedy: "sysctl -w kernel.unprivileged_userns_clone=1"
            )
        }
        guard let most = contents("/proc/sys/user/max_user_namespaces").flatMap({ Int($0) }), most > 0 else {
            return Finding(
                name: name, verdict: .missing, detail: "user.max_user_namespaces is 0 or absent",
                remedy: "sysctl -w user.max_user_namespaces=15000, or a kernel with CONFIG_USER_NS")
        }
        return Finding(name: name, verdict: .good, detail: "at most \(most)")
    }

    private static func appArmor(_ bubblewrap: String?) -> Finding {
        let list = "/sys/kernel/security/apparmor/profiles"
        let loaded = contents(list).map(AppArmorRestriction.Loaded.list) ?? .unseen("\(list): \(SystemError.reason(errno))")
        return AppArmorRestriction(
            setting: contents("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"), loaded: loaded,
            files: AppArmorRestriction.profileFiles.filter { access($0, F_OK) == 0 }, bubblewrap: bubblewrap
        ).finding
    }

    private static func bubblewrap(_ path: String?) -> Finding {
        let remedy = "install the package 'bubblewrap' (0.8 or later), on Debian and Ubuntu: apt-get install bubblewrap"
        guard let path else { return Finding(name: "bubblewrap", verdict: .missing, detail: "not found", remedy: remedy) }
        let version = output(of: [path, "--version"])
        let numbers = version.split { !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count >= 2, (numbers[0], numbers[1]) >= (0, 8) else {
            return Finding(name: "bubblewrap", verdict: .missing, detail: "\(path): \(version)", remedy: remedy)
        }
        return Finding(name: "bubblewrap", verdict: .good, detail: "\(path), \(version)")
    }

    private static func seccomp() -> Finding {
        psb_seccomp_available() == 1
            ? Finding(name: "seccomp", verdict: .good, detail: "filter of \(psb_filter_length()) instructions")
            : Finding(name: "seccomp", verdict: .missing, detail: "not in this kernel", remedy: "use a kernel with CONFIG_SECCOMP_FILTER")
    }

    private static func landlock() -> Finding {
        let version = Int(psb_landlock_abi())
        guard version > 0 else {
            return Finding(name: "Landlock", verdict: .degraded, detail: "not enabled", remedy: "add landlock to the kernel's lsm= list")
        }
        // What each ABI brought: 2 moves between folders, 3 truncation, 5 ioctl on devices, 6 abstract sockets and signals.
        let missing = [(3, "truncation"), (5, "ioctl on devices"), (6, "abstract sockets and signals")].filter { version < $0.0 }.map(\.1)
        let detail = "ABI \(version)"
        if version == 1 {
            return Finding(
                name: "Landlock", verdict: .degraded, detail: "\(detail), not used: it would refuse every move between two folders",
                remedy: "use Linux 5.19 or later")
        }
        return missing.isEmpty
            ? Finding(name: "Landlock", verdict: .good, detail: detail)
            : Finding(
                name: "Landlock", verdict: .degraded, detail: "\(detail), without rules for \(missing.joined(separator: ", "))",
                remedy: "use Linux 6.12 or later")
    }

    /// Which limits a worker of this user can have the kernel keep.
    private static func cgroups() -> Finding {
        let layout = CgroupLayout(mountInfo: contents("/proc/self/mountinfo") ?? "", groups: contents("/proc/self/cgroup") ?? "") {
            contents("\($0)/cgroup.controllers")
        }
        let found = CgroupLayout.Controller.allCases.compactMap { controller in layout.hierarchy(of: controller).map { (controller, $0) } }
        let usable = found.filter { access($0.1.folder, W_OK) == 0 }
        let texts = usable.map { "\($0.0.rawValue) by v\($0.1.version.rawValue)" }
        let missing = CgroupLayout.Controller.allCases.filter { controller in !usable.contains { $0.0 == controller } }.map(\.rawValue)
        let detail = "\(layout.name): \(texts.isEmpty ? "nothing can be bounded" : texts.joined(separator: ", "))"
        guard !missing.isEmpty else { return Finding(name: "cgroups", verdict: .good, detail: detail) }
        return Finding(
            name: "cgroups", verdict: .degraded,
            detail: "\(detail); not \(missing.joined(separator: ", ")), bounded for each process by itself or not at all",
            remedy: found.count > usable.count
                ? "start the worker as root, or give its unit Delegate=yes (systemd) so that its control groups are its own"
                : "enable the missing controllers in the kernel")
    }

    /// A remedy for what bubblewrap said when it failed, to be put behind it; empty when none is known.
    static func remedy(for said: String) -> String {
        guard said.contains("Permission denied") || said.contains("Operation not permitted") || said.contains("No space left") else { return "" }
        // Also what could not be seen: it failed for some reason.
        let blocking = [userNamespaces(), appArmor(nil)].filter { $0.verdict != .good }
        return blocking.isEmpty ? "" : ". Remedy: " + blocking.map(\.remedy).joined(separator: "; ")
    }

    private static func contents(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 1 << 20 {
            let count = read(file, &buffer, buffer.count)
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        var text = String(decoding: bytes, as: UTF8.self)
        while text.hasSuffix("\n") { text.removeLast() }
        return text
    }

    /// What a short-lived program prints.
    private static func output(of command: [String]) -> String {
        var pipes: [Int32] = [-1, -1]
        guard psb_pipe(&pipes) == 0 else { return "" }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer {
            close(pipes[0])
            close(null)
        }
        let pid = ProgramStart(command, descriptors: [null, pipes[1], null]).start()
        close(pipes[1])
        guard pid > 0 else { return "" }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(pipes[0], &buffer, buffer.count)
        waitpid(pid, nil, 0)
        return String(decoding: buffer[..<max(0, count)].prefix { $0 != 0x0A }, as: UTF8.self)
    }
}
