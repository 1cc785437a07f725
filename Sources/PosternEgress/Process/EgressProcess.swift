import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import PosternSandboxWire

/// The proxy process: serves the sessions that the worker names over the control socket, and ends with that socket.
package enum EgressProcess {
    /// The first thing that the process does, before it has a second thread.
    package static func begin() {
        ReadableFiles.restrict()
        SystemResolver.useAbsoluteNames()
    }

    /// Runs until the control socket `control` ends, which the process owns. Returns the exit status: 0, or 1 where the process cannot be
    /// confined, or was not begun with `begin`. Logs go to `logger`, which must write to descriptors that are open already.
    package static func run(control: Int32, logger: Logger = Logger(label: "postern.egress")) async -> Int32 {
        if ReadableFiles.restriction == .unavailable {
            logger.warning("this kernel has no Landlock: the egress proxy may read whatever files its user may")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let socket = ControlSocket(descriptor: control)
        if let reason = ProcessHardening.apply() {
            socket.send(ControlMessage(EgressReport.failure(session: "", reason: reason).json))
            logger.critical("the process cannot be confined", metadata: ["reason": "\(reason)"])
            socket.close()
            return 1
        }
        await Sessions(socket: socket, group: group, resolve: SystemResolver.resolve, logger: logger).run()
        socket.close()
        try? await group.shutdownGracefully()
        return 0
    }

    /// The same without confining the process, for tests that run it beside themselves.
    static func serve(control: Int32, group: any EventLoopGroup, resolve: @escaping NameResolver, logger: Logger) async {
        await Sessions(socket: ControlSocket(descriptor: control), group: group, resolve: resolve, logger: logger).run()
    }
}
