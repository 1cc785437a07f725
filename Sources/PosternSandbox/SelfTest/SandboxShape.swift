import PosternSandboxWire

/// What a policy makes of a sandbox, whatever the session: its mounts, file rules, limits and sockets. One self-test stands for all
/// sandboxes of a shape.
package struct SandboxShape: Sendable, Hashable {
    package var workspaceMode = WorkspaceMode.readWrite
    package var binds: [SandboxBind] = []
    /// As in `SandboxSpec`.
    package var hidden: [String] = []
    package var protected: [String] = []
    package var limits = SandboxLimits()
    package var listeners: [SandboxListener] = []

    package init() {}
}
