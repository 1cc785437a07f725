import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// The boundary of Linux: bubblewrap's namespaces and small root, `postern-init` with its filter inside.
package struct BubblewrapDriver: SandboxDriver {
    package let spawner: Spawner
    package var name: String { "bubblewrap" }

    /// Refuses where there can be no boundary.
    package init(spawner: Spawner) throws(SandboxError) {
        guard spawner.greeting.bubblewrap != nil else {
            throw SandboxError(
                .unavailable,
                "bubblewrap is not installed: install the package 'bubblewrap' (0.8 or later), on Debian and Ubuntu: apt-get install bubblewrap")
        }
        self.spawner = spawner
    }

    package func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        try await SandboxStart(spawner: spawner, driver: name).start(spec)
    }
}

/// No boundary: the same tools as the same user as the worker (never root), who sees the whole machine. For comparison, and for
/// machines that are themselves thrown away. Must be asked for by name.
package struct NoneDriver: SandboxDriver {
    package let spawner: Spawner
    package var name: String { "none" }

    package init(spawner: Spawner) {
        self.spawner = spawner
    }

    package func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        try await SandboxStart(spawner: spawner, driver: name).start(spec)
    }
}

/// The steps from a specification to a sandbox that answers.
struct SandboxStart {
    let spawner: Spawner
    let driver: String

    func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        try check(spec)
        var request: JSONObject = ["driver": .string(driver), "read_only": .bool(spec.isWorkspaceReadOnly), "limits": spec.limits.json]
        let outputs = try HostFolder.openParent(of: spec.toolOutputs, "tool outputs folder")
        request["outputs"] = .string(outputs.name)
        let workspace: Int32
        do throws(SandboxError) {
            switch spec.workspace {
            case .managed(let directory):
                let parent = try HostFolder.openParent(of: directory, "workspace")
                request["workspace"] = .string(parent.name)
                workspace = parent.descriptor
            case .folder(let directory): workspace = try HostFolder.open(directory, "workspace")
            }
        } catch {
            close(outputs.descriptor)
            throw error
        }
        var pair: [Int32] = [-1, -1]
        guard psb_socket_pair(&pair) == 0 else {
            close(outputs.descriptor)
            close(workspace)
            throw SandboxError(.unavailable, "no descriptors are left for another sandbox")
        }
        let sandbox = RunningSandbox(spawner: spawner, socket: pair[0])
        var configuration = InitConfiguration(environment: spec.environment, offloadThreshold: spec.offloadThreshold, limits: spec.limits)
        configuration.isWorkspaceReadOnly = spec.isWorkspaceReadOnly
        sandbox.send(configuration.json)
        do throws(SandboxError) {
            let started = try await spawner.start(request, descriptors: [pair[1], workspace, outputs.descriptor])
            try await sandbox.attach(id: started.id, user: started.user)
        } catch {
            sandbox.abandon()
            throw error
        }
        return sandbox
    }

    private func check(_ spec: SandboxSpec) throws(SandboxError) {
        guard (1...400_000).contains(spec.offloadThreshold) else {
            throw SandboxError(.refused, "the offload threshold is \(spec.offloadThreshold) characters, it must be from 1 to 400000")
        }
        for (name, value) in spec.environment {
            if let refusal = EnvironmentRule.refusal(of: name) { throw SandboxError(.refused, "environment variable '\(name)': \(refusal)") }
            guard !value.utf8.contains(0) else { throw SandboxError(.refused, "environment variable '\(name)' has a NUL character in its value") }
        }
        guard SandboxLimits(json: spec.limits.json) == spec.limits else {
            throw SandboxError(.refused, "a limit of the sandbox is out of its bounds; see SandboxLimits")
        }
    }
}
