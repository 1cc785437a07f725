import PosternSandboxWire

/// The boundary of Linux: bubblewrap's namespaces and small root, `postern-init` with its filter inside.
package struct BubblewrapDriver: SandboxDriver {
    package let spawner: Spawner
    private let denied: DeniedPlaces
    package var name: String { "bubblewrap" }

    /// Refuses where there can be no boundary.
    /// - Parameter denied: files and folders of the worker's own (state, credentials, sockets): whatever a specification says, no sandbox is
    ///   shown them, what is in them or what they are in.
    package init(spawner: Spawner, denied: [String] = []) throws(SandboxError) {
        guard spawner.greeting.bubblewrap != nil else {
            throw SandboxError(
                .unavailable,
                "bubblewrap is not installed: install the package 'bubblewrap' (0.8 or later), on Debian and Ubuntu: apt-get install bubblewrap")
        }
        self.spawner = spawner
        self.denied = DeniedPlaces(denied)
    }

    package func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        try await SandboxStart(spawner: spawner, driver: name, denied: denied).start(spec)
    }
}

/// No boundary: the same tools, which see the whole machine, as the user of the worker, or of a worker that was started as root as a user of
/// each session. For comparison, and for machines that are themselves thrown away. Must be asked for by name.
package struct NoneDriver: SandboxDriver {
    package let spawner: Spawner
    package var name: String { "none" }

    package init(spawner: Spawner) {
        self.spawner = spawner
    }

    package func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        try await SandboxStart(spawner: spawner, driver: name, denied: DeniedPlaces([])).start(spec)
    }
}
