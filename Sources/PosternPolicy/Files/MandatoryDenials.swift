/// Paths of the host that no policy can bring into a sandbox: to see or to speak to any of them is to be outside.
///
/// A policy that names one is refused. Where a tree is bound that holds one, it is masked. Links are not known here: whoever binds a path
/// holds the resolved one against `refusal(of:)` again.
package struct MandatoryDenials: Sendable, Hashable {
    /// Each with all that is below it.
    package let trees: [HostPath]
    package let globs: [PathGlob]
    private let own: [HostPath]

    /// - Parameter own: what belongs to this worker: its configuration, credentials, state folder, sockets, the policies themselves. Paths
    ///   that are not absolute are passed over; callers give absolute ones.
    package init(own: [String] = []) {
        self.own = own.compactMap { try? HostPath($0) }
        trees = HostPath.minimal(Self.builtInTrees.compactMap { try? HostPath($0) } + self.own)
        globs = Self.builtInGlobs.compactMap { try? PathGlob($0) }
    }

    /// Why `path` is denied whatever the policy; `nil` when it is not.
    package func refusal(of path: HostPath) -> String? {
        if let tree = trees.first(where: { path.isInside($0) }) { return "no policy can open \(tree)" }
        if let glob = globs.first(where: { $0.covers(path.components) }) { return "no policy can open \(glob)" }
        return nil
    }

    /// The same for a path of the workspace: only names that are denied anywhere matter there.
    package func refusal(of target: FileTarget) -> String? {
        switch target {
        case .host(let path): refusal(of: path)
        case .workspace: globs.first { $0.covers(target) }.map { "no policy can open \($0)" }
        }
    }

    /// Whether `path` belongs to this worker itself.
    package func isOwn(_ path: HostPath) -> Bool { own.contains { path.isInside($0) } }

    /// Kernel interfaces, sockets of daemons that act for whoever connects, and credentials of the machine.
    package static let builtInTrees = [
        "/proc", "/sys", "/dev", "/boot",
        "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d", "/etc/krb5.keytab", "/etc/postern",
        "/run/containerd", "/run/credentials", "/run/crio", "/run/dbus", "/run/docker", "/run/docker.sock", "/run/host-services", "/run/k3s",
        "/run/libvirt", "/run/lxd.socket", "/run/nscd", "/run/podman", "/run/postern", "/run/secrets", "/run/snapd.socket", "/run/systemd",
        "/run/udev", "/run/user",
        "/var/run/containerd", "/var/run/credentials", "/var/run/crio", "/var/run/dbus", "/var/run/docker", "/var/run/docker.sock",
        "/var/run/libvirt", "/var/run/nscd", "/var/run/podman", "/var/run/secrets", "/var/run/systemd", "/var/run/user",
        "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/postern",
    ]

    /// Sockets that stand wherever somebody has put them.
    package static let builtInGlobs = [
        "**/docker.sock", "**/containerd.sock", "**/podman.sock", "**/crio.sock", "**/cri-dockerd.sock", "**/buildkitd.sock", "**/dockershim.sock",
        "**/libvirt-sock*", "**/system_bus_socket", "**/S.gpg-agent*", "**/.X11-unix", "**/wayland-?", "**/ssh-*/agent.*", "**/tmux-*/default",
    ]
}
