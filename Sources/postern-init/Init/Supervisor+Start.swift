import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// Where a session's folders are, as this process sees them.
struct Places {
    var workspace: Int32
    var outputs: Int32
    var roots: ToolRoots

    /// With mounts the paths are fixed. Without them they are those of descriptors 4 and 5.
    init(areMounted: Bool) throws(SystemFailure) {
        if areMounted {
            roots = ToolRoots(workspace: SandboxPaths.workspace, outputs: SandboxPaths.toolOutputs, home: SandboxPaths.home)
            workspace = open(roots.workspace, psb_open_path | O_DIRECTORY | O_CLOEXEC)
            outputs = open(roots.outputs, psb_open_path | O_DIRECTORY | O_CLOEXEC)
        } else {
            workspace = SandboxPaths.controlDescriptor + 1
            outputs = SandboxPaths.controlDescriptor + 2
            for descriptor in [workspace, outputs] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
            let paths = [workspace, outputs].map {
                Posix.link(AT_FDCWD, Array("/proc/self/fd/\($0)".utf8)).map { String(decoding: $0, as: UTF8.self) }
            }
            guard let first = paths[0], let second = paths[1] else { throw SystemFailure("readlink") }
            roots = ToolRoots(workspace: first, outputs: second, home: first)
        }
        guard workspace >= 0 else { throw SystemFailure("open \(roots.workspace)") }
        guard outputs >= 0 else { throw SystemFailure("open \(roots.outputs)") }
    }
}

extension Supervisor {
    /// The whole life of the process, with the layers that it is started in and that it is to put in force. Answers an exit status.
    static func main(layers: Set<SandboxLayer>, unsafe: UnsafeLayers? = nil) -> Int32 {
        guard geteuid() != 0, getuid() != 0 else { return fail("refuses to run as user 0") }
        guard !layers.contains(.namespaces) || getpid() == 1 else { return fail("is to be process 1 of a sandbox") }
        do {
            try harden(layers)
            if layers.contains(.mounts) { try MountCheck.run() }
            let listener = layers.contains(.network) ? try listen() : nil
            let children = try watchChildren()
            var places = try Places(areMounted: layers.contains(.mounts))
            // Opened for reading where the folder is listed; O_PATH is enough everywhere else.
            places.outputs = try reopened(places.outputs)
            detachStandardStreams()
            var (configuration, control) = try firstMessage()
            if layers.contains(.network) { try handOut(configuration.listeners, &control) }
            if let certificate = configuration.certificate, layers.contains(.mounts) { try TrustFile.write(certificate) }
            try limit(configuration.limits)
            // From here on every process, this one included, lives under the rules and the filter.
            let files = LandlockPlan(roots: places.roots, configuration: configuration)
            let (inForce, abi) = try confine(layers, files, newestABI: unsafe?.newestLandlockABI ?? 0)
            let supervisor = Supervisor(layers: inForce, children: children, places: places, configuration: configuration)
            supervisor.control = control
            supervisor.control.send(
                [
                    "type": "ready", "version": JSON(Roles.version), "layers": .string(SandboxLayer.text(inForce)), "landlock_abi": JSON(abi),
                    "unsafe": .bool(unsafe != nil),
                ], descriptors: listener.map { [$0] } ?? [])
            return supervisor.run()
        } catch let failure as SystemFailure {
            return fail(failure.text)
        } catch {
            return fail("\(error)")
        }
    }

    private static func check(_ name: String, _ result: Int32) throws(SystemFailure) {
        guard result >= 0 else { throw SystemFailure(name, -result) }
    }

    private static func harden(_ layers: Set<SandboxLayer>) throws(SystemFailure) {
        umask(0o022)
        // Whatever started this process may have left some of its own open: only the control socket is this one's, with mounts the list of
        // them, and without mounts the two folders.
        try check("close_range", psb_close_from(SandboxPaths.controlDescriptor + (layers.contains(.mounts) ? 2 : 3)))
        try check("PR_SET_DUMPABLE", psb_make_undumpable())
        try check("PR_SET_NO_NEW_PRIVS", psb_set_no_new_privs())
        try check("join session keyring", psb_join_fresh_keyring())
        if !layers.contains(.namespaces) { try check("PR_SET_CHILD_SUBREAPER", psb_become_subreaper()) }
    }

    /// Puts Landlock and the filter in force, as far as they are in `layers`. Those layers that hold now, and Landlock's ABI.
    private static func confine(_ layers: Set<SandboxLayer>, _ files: LandlockPlan, newestABI: Int) throws(SystemFailure) -> (Set<SandboxLayer>, Int)
    {
        var inForce = layers
        var abi = 0
        if layers.contains(.landlock) {
            // Ports are the network namespace's business; only where that is missing Landlock refuses all but the proxy's.
            abi = try files.apply(refusingTCP: !layers.contains(.network), newestABI: newestABI)
            if abi == 0 { inForce.remove(.landlock) }
        }
        if layers.contains(.seccomp) { try check("seccomp", psb_install_filter()) }
        return (inForce, abi)
    }

    /// The listener inside the network namespace whose descriptor goes out: what is dialled inside arrives outside, and there is no
    /// other way out.
    private static func listen() throws(SystemFailure) -> Int32 {
        let listener = psb_listen_loopback(SandboxPaths.listenerPort)
        try check("listen on the sandbox's loopback", listener)
        return listener
    }

    /// Makes the listeners that the policy asks for and sends them out, in their order, as many with a message as one takes.
    private static func handOut(_ listeners: [SandboxListener], _ control: inout ControlSocket) throws(SystemFailure) {
        var rest = listeners[...]
        while !rest.isEmpty {
            let group = rest.prefix(Int(PSB_MAXIMUM_DESCRIPTORS))
            rest = rest.dropFirst(group.count)
            var descriptors: [Int32] = []
            for listener in group {
                let descriptor = psb_bind_port(listener.transport == .udp ? 1 : 0, listener.isOnAllAddresses ? 1 : 0, listener.port)
                try check("listen on port \(listener.port) of the sandbox's loopback", descriptor)
                descriptors.append(descriptor)
            }
            control.send(["type": "listeners"], descriptors: descriptors)
        }
    }

    private static func watchChildren() throws(SystemFailure) -> Int32 {
        let descriptor = psb_watch_children()
        try check("signalfd", descriptor)
        return descriptor
    }

    private static func reopened(_ directory: Int32) throws(SystemFailure) -> Int32 {
        let descriptor = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemFailure("open the tool outputs folder") }
        close(directory)
        return descriptor
    }

    /// Up to here standard error goes to whoever started us, for the reason of a failure; from here on it is nobody's.
    private static func detachStandardStreams() {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { return }
        for descriptor in Int32(0)...2 { dup2(null, descriptor) }
        close(null)
    }

    private static func firstMessage() throws -> (InitConfiguration, ControlSocket) {
        var control = ControlSocket(descriptor: SandboxPaths.controlDescriptor, maximumLength: 64 << 20)
        while true {
            if let message = try control.next() {
                for descriptor in message.descriptors { close(descriptor) }
                guard message.body["type"]?.string == "configure" else { throw SystemFailure("first message", EPROTO) }
                return (InitConfiguration(json: message.body), control)
            }
            var watched = pollfd(fd: control.descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&watched, 1, -1)
            guard control.receive() else { throw SystemFailure("control socket", ECONNRESET) }
        }
    }

    private static func limit(_ limits: SandboxLimits) throws(SystemFailure) {
        // 1, not 0: with a pipe in core_pattern the kernel starts the host's handler unless the limit is exactly 1.
        try check("RLIMIT_CORE", psb_set_limit(Int32(PSB_LIMIT_CORE), 1))
        // Of this process alone, which holds a folder open for each level of the workspace that it measures; what it starts gets the limit.
        let open = limits.openFiles + DiskWatch.deepest + 16
        try check("RLIMIT_NOFILE", psb_set_limit(Int32(PSB_LIMIT_OPEN_FILES), UInt64(open)))
        try check("RLIMIT_FSIZE", psb_set_limit(Int32(PSB_LIMIT_FILE_SIZE), UInt64(limits.fileBytes)))
        try check("RLIMIT_MEMLOCK", psb_set_limit(Int32(PSB_LIMIT_LOCKED), 1 << 20))
    }

    private static func fail(_ reason: String) -> Int32 {
        _ = Posix.write(2, Array("postern-init: \(reason)\n".utf8))
        return 70
    }
}
