import CPosternSandbox
import Logging
import NIOCore
import NIOPosix
import PosternCore
import PosternMCP
import PosternSandbox
import PosternTunnelWire
import ServiceLifecycle
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Keeps the edge of `serve --with-edge` running: a process of its own user, with an API key that is worth nothing without it, started again
/// whenever it ends. The listening socket is this process's, so that a port below 1024 needs no rights of the edge, and who connects while there is
/// none waits for the next.
final class EdgeKeeper: Service {
    struct Settings: Sendable {
        var listen: ListenAddress
        var domain: String
        /// PEM files.
        var certificate: String
        var key: String
        /// Whom the edge becomes where this process is root.
        var user: UInt32
        var logFormat: String
        var logLevel: String
        var bounds = EdgeBounds()
        /// Of loopback; `nil` where the metrics are served nowhere.
        var metricsListen: ListenAddress?
    }

    private struct State {
        var controlPlane: Int?
        var waiting: CheckedContinuation<Void, Never>?
        /// The pipe of the process that runs.
        var lifeline: Int32?
        var listener: Int32
        var isStopping = false
    }

    private let settings: Settings
    private let keys: KeyService
    private let terminal: Terminal
    private let logger: Logger
    private let state: Mutex<State>
    private let address: String
    /// Where this process reaches the edge itself.
    let own: EdgeAddress
    /// The listening socket of the metrics, and its URL.
    private let metrics: (socket: Int32, url: String)?
    /// The edge dies with the thread that has started it, so that has to be one that lives as long as this process.
    private let thread = NIOThreadPool(numberOfThreads: 1)

    /// Listens; throws where that or reading the certificate fails.
    init(_ settings: Settings, keys: KeyService, terminal: Terminal, logger: Logger) throws {
        self.settings = settings
        self.keys = keys
        self.terminal = terminal
        self.logger = logger
        for path in [settings.certificate, settings.key] { _ = try TextFile.read(path) }
        let (listener, port) = try Self.listen(settings.listen)
        metrics = try settings.metricsListen.map { address in
            let (socket, port) = try Self.listen(address)
            return (socket, address.url(scheme: "http", port: port) + "/metrics")
        }
        state = Mutex(State(listener: listener))
        address = settings.listen.url(scheme: "https", port: port)
        let host = settings.listen.host
        // Listening at every address is no address to dial; where both families are listened to, IPv4 is one.
        own = EdgeAddress(host: host.isEmpty || host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host, port: port)
    }

    private static func listen(_ address: ListenAddress) throws -> (Int32, Int) {
        func failed(_ error: Int32) -> CommandError {
            CommandError(.failure, "the edge cannot listen on \(address): \(String(cString: strerror(error)))")
        }
        var last = EADDRNOTAVAIL
        for host in address.bindHosts {
            let place = try SocketAddress.makeAddressResolvingHost(host, port: address.port)
            switch listen(place) {
            case .success(let bound): return bound
            case .failure(let error):
                last = error.code
                // Only where the machine lacks the family is the next one for it.
                guard [EAFNOSUPPORT, EADDRNOTAVAIL, EINVAL].contains(last) else { throw failed(last) }
            }
        }
        throw failed(last)
    }

    private struct Errno: Error { var code: Int32 }

    private static func listen(_ place: SocketAddress) -> Result<(Int32, Int), Errno> {
        let family = if case .v6 = place { AF_INET6 } else { AF_INET }
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return .failure(Errno(code: errno)) }
        var (yes, no): (Int32, Int32) = (1, 0)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        // IPv4 comes in by the same socket, whatever the machine's default is.
        if family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &no, socklen_t(MemoryLayout<Int32>.size)) }
        let bound = place.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        var name = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let known = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bound == 0 && Glibc.listen(descriptor, 1024) == 0 && getsockname(descriptor, address, &length) == 0
            }
        }
        guard known else {
            defer { close(descriptor) }
            return .failure(Errno(code: errno))
        }
        // Both families have the port in the same place.
        let port = withUnsafeBytes(of: name) { Int($0[2]) << 8 | Int($0[3]) }
        return .success((descriptor, port))
    }

    /// Where the edge asks: the port of the door on loopback.
    func setControlPlane(port: Int) {
        let waiting = state.withLock { state in
            state.controlPlane = port
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    func run() async throws {
        thread.start()
        await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await keep()
            } onCancel: {
                self.stop(drains: false)
            }
        } onGracefulShutdown: {
            self.stop(drains: true)
        }
        let listener = state.withLock { $0.listener }
        if listener >= 0 { close(listener) }
        if let metrics { close(metrics.socket) }
        try? await thread.shutdownGracefully()
    }

    /// Asks the edge to end: gently, or at once, as the end of the pipe tells it.
    private func stop(drains: Bool) {
        let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isStopping = true
            // Nobody is left to take what connects.
            if state.listener >= 0 { close(state.listener) }
            state.listener = -1
            if let lifeline = state.lifeline {
                if drains {
                    var byte: UInt8 = 1
                    _ = write(lifeline, &byte, 1)
                } else {
                    close(lifeline)
                    state.lifeline = nil
                }
            }
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func controlPlane() async -> Int? {
        await withCheckedContinuation { continuation in
            let isKnown = state.withLock { state in
                if state.controlPlane != nil || state.isStopping { return true }
                state.waiting = continuation
                return false
            }
            if isKnown { continuation.resume() }
        }
        return state.withLock { $0.controlPlane }
    }

    private func keep() async {
        guard let port = await controlPlane() else { return }
        var backOff = LegBackOff()
        var isFirst = true
        while !isStopping {
            let started = ContinuousClock.now
            do {
                let (key, secret) = try await keys.makePassingKey(name: "the edge of this server", role: .edge)
                let status: Int32
                do {
                    status = try await runOnce(secret, "http://127.0.0.1:\(port)", isFirst: isFirst)
                } catch {
                    await keys.endPassingKey(key)
                    throw error
                }
                await keys.endPassingKey(key)
                if isStopping { break }
                logger.warning("the edge has ended and is started again", metadata: ["status": "\(status)"])
            } catch {
                logger.error("the edge cannot be started", metadata: ["reason": "\(error)"])
            }
            isFirst = false
            // One that stood has not failed at its start.
            if ContinuousClock.now - started >= .seconds(10) { backOff.succeeded() }
            let wait = backOff.next(chance: Double.random(in: 0...1))
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(wait)) }
        }
    }

    /// Starts the edge and returns with its exit status when it has ended.
    private func runOnce(_ secret: String, _ controlPlane: String, isFirst: Bool) async throws -> Int32 {
        try await thread.runIfActive { [self] in
            // Read at each start: a certificate that was renewed counts from the next one on.
            let handover = EdgeHandover(
                domain: settings.domain, certificate: try TextFile.read(settings.certificate), key: try TextFile.read(settings.key),
                controlPlane: controlPlane, apiKey: secret, logFormat: settings.logFormat, logLevel: settings.logLevel,
                bounds: settings.bounds, servesMetrics: metrics != nil)
            let file = try handover.file()
            defer { close(file) }
            var pipe: [Int32] = [-1, -1]
            guard psb_pipe(&pipe) == 0 else { throw CommandError(.failure, "no pipe for the edge: \(String(cString: strerror(errno)))") }
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            defer {
                close(pipe[0])
                close(null)
            }
            let pid = start(
                [null, STDOUT_FILENO, STDERR_FILENO, file, state.withLock { $0.listener }, pipe[0]] + (metrics.map { [$0.socket] } ?? []))
            guard pid > 0, keepLifeline(pipe[1]) else {
                close(pipe[1])
                guard pid > 0 else { throw CommandError(.failure, "the edge's process: \(String(cString: strerror(-pid)))") }
                return Self.waited(pid)
            }
            logger.info("the edge is started", metadata: ["pid": "\(pid)"])
            if isFirst {
                terminal.print("The edge of \(settings.domain) is listening on \(address)")
                if let metrics { logger.info("the edge's metrics are served", metadata: ["address": "\(metrics.url)"]) }
            }
            let status = Self.waited(pid)
            dropLifeline()
            return status
        }
    }

    /// Variables are cleared and descriptors closed; the program is this one.
    private func start(_ descriptors: [Int32]) -> pid_t {
        var program = ProgramStart(
            ["postern", EdgeProcessCommand.name], path: "/proc/self/exe", descriptors: descriptors)
        program.hasOwnSession = true
        program.ignoresTermination = true
        program.diesWithStarter = true
        program.openFiles = 65_536
        program.user = geteuid() == 0 ? settings.user : nil
        return program.start()
    }

    /// `false` where the end was asked for meanwhile.
    private func keepLifeline(_ descriptor: Int32) -> Bool {
        state.withLock { state in
            guard !state.isStopping else { return false }
            state.lifeline = descriptor
            return true
        }
    }

    private func dropLifeline() {
        state.withLock { state in
            if let descriptor = state.lifeline { close(descriptor) }
            state.lifeline = nil
        }
    }

    private static func waited(_ pid: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status
    }
}
