import PosternSandboxWire

/// What says that this process is in a container. Nothing proves it: a kernel knows namespaces and no containers. So each sign is named, and
/// what machines without a container have too is only a hint.
struct ContainerSigns: Sendable, Equatable {
    /// What only containers have, as far as is known.
    private(set) var signs: [String] = []
    /// What containers have, and other machines too.
    private(set) var hints: [String] = []

    /// What is looked at.
    struct Sources: Sendable {
        /// Of the files in `files`, those that are there.
        var present: Set<String> = []
        /// /run/systemd/container: what a manager of containers has told systemd.
        var managerNote = ""
        /// /proc/1/cgroup and /proc/self/cgroup, one behind the other.
        var groups = ""
        /// /proc/self/mountinfo
        var mounts = MountTable("")
        /// /proc/self/uid_map
        var userMap = ""
        var environment: [String: String] = [:]

        static let files = ["/.dockerenv", "/run/.containerenv"]
    }

    init(_ sources: Sources) {
        if sources.present.contains("/run/.containerenv") { signs.append("/run/.containerenv, which Podman makes") }
        if let note = sources.managerNote.split(separator: "\n").first {
            signs.append("/run/systemd/container says '\(Terminal.visible(String(note)))'")
        }
        if let name = sources.environment["container"], !name.isEmpty { signs.append("the variable container is '\(Terminal.visible(name))'") }
        if sources.environment["KUBERNETES_SERVICE_HOST"] != nil { signs.append("KUBERNETES_SERVICE_HOST is set, as in a pod of Kubernetes") }
        if let group = Self.engineGroup(sources.groups) { signs.append("the control group '\(Terminal.visible(group))'") }
        // Engines give each container these files of its own.
        if let mount = sources.mounts.mounts.first(where: { ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains($0.point) }) {
            signs.append("\(mount.point) is a mount of its own")
        }
        if sources.present.contains("/.dockerenv") { hints.append("/.dockerenv, which Docker makes and machines made from its images keep") }
        if sources.mounts.mount(holding: "/")?.kind == "overlay" { hints.append("/ is an overlay") }
        if let map = Self.ownUserMap(sources.userMap) { hints.append("a user namespace (\(map))") }
    }

    /// What `doctor` says; only signs are a reason to do something.
    var detail: String {
        if !signs.isEmpty { return "signs of one: " + (signs + hints).joined(separator: "; ") }
        return hints.isEmpty ? "no sign of one" : "none for certain; hints: " + hints.joined(separator: "; ")
    }

    /// The path of a group as engines name them: /docker/ID, /kubepods.slice/…, /machine.slice/libpod-ID.scope, /lxc.payload.NAME.
    private static func engineGroup(_ text: String) -> String? {
        let starts = ["docker", "kubepods", "libpod", "crio", "cri-containerd", "lxc", "nspawn", "garden", "ecs"]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            // The engine's own service is no container.
            let isContainer = fields[2].split(separator: "/").contains { part in
                !part.hasSuffix(".service") && !part.hasSuffix(".socket")
                    && starts.contains { part == $0 || part.hasPrefix($0 + "-") || part.hasPrefix($0 + ".") }
            }
            if isContainer { return String(fields[2]) }
        }
        return nil
    }

    /// How users are mapped, where that is not the machine's own map of all to themselves.
    private static func ownUserMap(_ text: String) -> String? {
        let fields = text.split { $0 == " " || $0 == "\n" || $0 == "\t" }
        guard fields.count >= 3, fields[..<3] != ["0", "0", "4294967295"] else { return nil }
        return "user \(fields[0]) is \(fields[1]) outside"
    }
}
