import PosternJSON
import PosternSandboxWire

/// The layers of a running sandbox, from the first message of its init. None of driver `none`.
package struct SandboxLayers: Sendable, Hashable {
    package var inForce: Set<SandboxLayer> = []
    /// Landlock's ABI that is used, 0 for none.
    package var landlockABI = 0
    /// Layers were switched off by the spawner's test option.
    package var isUnsafe = false

    package init() {}

    init(ready: JSON) {
        inForce = ready["layers"]?.string.flatMap(SandboxLayer.list) ?? []
        landlockABI = ready["landlock_abi"]?.int ?? 0
        isUnsafe = ready["unsafe"]?.bool ?? false
    }

    /// The layers that a sandbox should have and this one has not: to be told at start, in the audit and in metrics.
    package var missing: [SandboxLayer] { SandboxLayer.allCases.filter { !inForce.contains($0) } }
}
