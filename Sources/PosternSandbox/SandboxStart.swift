import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// The steps from a specification to a sandbox that answers.
struct SandboxStart {
    let spawner: Spawner
    let driver: String
    let denied: DeniedPlaces

    func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        try SpecificationRules.check(spec)
        var order = Order()
        do throws(SandboxError) {
            try fill(&order, spec)
        } catch {
            for descriptor in order.descriptors { close(descriptor) }
            throw error
        }
        var pair: [Int32] = [-1, -1]
        guard psb_socket_pair(&pair) == 0 else {
            for descriptor in order.descriptors { close(descriptor) }
            throw SandboxError(.unavailable, "no descriptors are left for another sandbox")
        }
        let sandbox = RunningSandbox(spawner: spawner, socket: pair[0], limits: spec.limits)
        var configuration = InitConfiguration(environment: spec.environment, offloadThreshold: spec.offloadThreshold, limits: spec.limits)
        configuration.isWorkspaceReadOnly = spec.isWorkspaceReadOnly
        configuration.paths = spec.binds.map { ($0.path, $0.isWritable) }
        configuration.listeners = spec.listeners
        configuration.certificate = spec.certificate
        sandbox.send(configuration.json)
        do throws(SandboxError) {
            try await sandbox.attach(try await spawner.start(order.request, descriptors: [pair[1]] + order.descriptors))
        } catch {
            sandbox.abandon()
            throw error
        }
        return sandbox
    }

    /// What goes to the spawner: its `StartOrder`.
    private struct Order {
        var request: JSONObject = [:]
        var descriptors: [Int32] = []
    }

    private func fill(_ order: inout Order, _ spec: SandboxSpec) throws(SandboxError) {
        order.request["driver"] = .string(driver)
        order.request["mode"] = .string(spec.workspaceMode.rawValue)
        order.request["limits"] = spec.limits.json
        order.request["low_ports"] = .bool(spec.listeners.contains { $0.port < 1024 })
        order.request["resolver"] = .bool(spec.listeners.contains { $0.transport == .udp && $0.port == 53 })
        switch spec.workspace {
        case .managed(let directory):
            let parent = try HostFolder.openParent(of: directory, "workspace")
            order.request["workspace"] = .string(parent.name)
            order.descriptors.append(parent.descriptor)
        case .folder(let directory) where spawner.served != nil:
            order.request["workspace_tree"] = try tree(directory, isWritten: spec.workspaceMode == .readWrite, "workspace")
        case .folder(let directory):
            order.descriptors.append(try HostFolder.open(directory, "workspace"))
            try denied.check(order.descriptors[0], "the workspace '\(directory)'")
        }
        let outputs = try HostFolder.openParent(of: spec.toolOutputs, "tool outputs folder")
        order.request["outputs"] = .string(outputs.name)
        order.descriptors.append(outputs.descriptor)
        if let changes = spec.changes, spec.workspaceMode == .copyOnWrite {
            let parent = try HostFolder.openParent(of: changes, "folder for changes")
            order.request["changes"] = .string(parent.name)
            order.descriptors.append(parent.descriptor)
        }
        for bind in spec.binds where spawner.served == nil {
            order.descriptors.append(try HostFolder.openAny(bind.hostPath, "bind"))
            try denied.check(order.descriptors[order.descriptors.count - 1], "the bind '\(bind.hostPath)'")
        }
        var binds: [JSON] = []
        for bind in spec.binds {
            var json = bind.json.object ?? [:]
            if spawner.served != nil { json["tree"] = try tree(bind.hostPath, isWritten: bind.isWritable, "bind") }
            binds.append(.object(json))
        }
        order.request["binds"] = .array(binds)
        order.request["hidden"] = .array(spec.hidden.map(JSON.string))
        order.request["protected"] = .array(spec.protected.map(JSON.string))
    }

    /// How a worker that is not root names a place of the host to its spawner, which opens it and looks whether it is denied.
    private func tree(_ path: String, isWritten: Bool, _ what: String) throws(SandboxError) -> JSON {
        guard let tree = ServedTree.reference(to: path, isWritten: isWritten, in: spawner.served?.trees ?? []) else {
            throw SandboxError(.refused, "the \(what) '\(path)' is none of the files and folders that this worker was started for")
        }
        return tree
    }
}

/// What a specification must keep to, whoever wrote it.
enum SpecificationRules {
    /// With sockets and folders, as many descriptors as one message takes.
    private static let mostBinds = 24

    static func check(_ spec: SandboxSpec) throws(SandboxError) {
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
        guard (spec.workspaceMode == .copyOnWrite) == (spec.changes != nil) else {
            throw SandboxError(.refused, "a copy-on-write workspace needs a folder for its changes, and no other kind has one")
        }
        guard spec.binds.count <= mostBinds else {
            throw SandboxError(.refused, "\(spec.binds.count) files and folders are to be bound, \(mostBinds) at most")
        }
        for bind in spec.binds {
            if let refusal = SandboxBind.refusal(ofPlace: bind.path) { throw SandboxError(.refused, "the bind '\(bind.path)': \(refusal)") }
        }
        guard spec.listeners.count <= SandboxListener.most else {
            throw SandboxError(.refused, "\(spec.listeners.count) listeners are asked for, \(SandboxListener.most) at most")
        }
        let ports = spec.listeners.map { "\($0.transport.rawValue):\($0.port)" } + ["tcp:\(SandboxPaths.listenerPort)"]
        guard Set(ports).count == ports.count, !spec.listeners.contains(where: { $0.port == 0 }) else {
            throw SandboxError(
                .refused, "the listeners \(ports.joined(separator: ", ")): each port once, none 0; \(SandboxPaths.listenerPort) is the proxy's")
        }
        guard Set(spec.binds.map(\.path)).count == spec.binds.count else {
            throw SandboxError(.refused, "two binds have the same place inside")
        }
        try checkPatterns(spec)
    }
    /// In bytes, of all trees; the order to the spawner holds them.
    private static let longestPatterns = 256 << 10

    private static func checkPatterns(_ spec: SandboxSpec) throws(SandboxError) {
        let patterns = spec.hidden + spec.protected + spec.binds.flatMap { $0.hidden + $0.protected }
        for pattern in patterns where PathGlob(pattern) == nil {
            throw SandboxError(
                .refused,
                "'\(pattern)' is no pattern of paths: write it relative to the workspace or the bound folder, without '.', '..' and empty parts, "
                    + "such as '**/.env'")
        }
        let length = patterns.reduce(0) { $0 + $1.utf8.count }
        guard length <= longestPatterns else {
            throw SandboxError(
                .refused,
                "the patterns of what is hidden and protected, of the workspace and of each bind, have \(length) bytes, "
                    + "\(longestPatterns) at most: bind fewer folders, or shorten the lists")
        }
    }
}
