/// What a session may do to its workspace.
package enum WorkspaceMode: String, Sendable, CaseIterable {
    /// Read and write it.
    case readWrite = "rw"
    /// Read it only.
    case readOnly = "ro"
    /// See it as it is and change a copy: only what was changed is kept, elsewhere, until somebody takes it over (`apply`) or throws it
    /// away (`discard`).
    case copyOnWrite = "cow"
}
