/// A layer of the sandbox, each of which is to stand without the others. The one that is missing here, a user of its own for each
/// session, is a property of the spawner: it is there if that is root.
package enum SandboxLayer: String, CaseIterable, Sendable {
    /// A small root from an allow list, in a mount namespace.
    case mounts
    /// User, process, IPC, UTS and cgroup namespaces.
    case namespaces
    /// A network namespace with nothing but loopback.
    case network
    /// The filter of system calls.
    case seccomp
    /// The rules for files, abstract sockets and signals.
    case landlock

    /// The layers named in `text`, separated by commas; `nil` when one is unknown. Empty text is no layer.
    package static func list(_ text: String) -> Set<SandboxLayer>? {
        var layers: Set<SandboxLayer> = []
        for name in text.split(separator: ",") {
            guard let layer = SandboxLayer(rawValue: String(name)) else { return nil }
            layers.insert(layer)
        }
        return layers
    }

    /// The reverse of `list`.
    package static func text(_ layers: Set<SandboxLayer>) -> String {
        allCases.filter(layers.contains).map(\.rawValue).joined(separator: ",")
    }
}
