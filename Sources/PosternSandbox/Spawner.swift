import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire
import Synchronization

/// The worker's connection to its spawner process, which starts, kills and cleans up sandboxes. Made once, before anything else; ends
/// with `close` or with this process, and every sandbox with it.
///
/// A spawner that root starts runs each sandbox as a user of its own, also where the worker then goes on as an ordinary user (`start`,
/// `connect`); otherwise everything is one ordinary user.
package final class Spawner: Sendable {
    package struct Configuration: Sendable {
        /// bubblewrap's path; `nil` looks in the usual places.
        package var bubblewrap: String?
        /// Users for sessions, if the spawner is root. At least 1000.
        package var users: ClosedRange<UInt32> = 210_000...219_999
        /// Whom a worker that is started as root goes on as, and what of the host the spawner then serves it; `nil` where it stays who it is.
        package var served: ServedPlaces?
        /// The program that is started as an egress proxy with the argument `egress`; `nil` where there is none.
        package var proxyProgram: String?
        /// Put before the spawner's command, for example `/usr/bin/setpriv …` to run it as somebody else.
        package var prefix: [String] = []
        /// Only these layers, for tests of each layer by itself; a spawner built for release refuses to start with it. `nil` is all.
        package var unsafeLayers: Set<SandboxLayer>?
        /// With `unsafeLayers`: no newer ABI of Landlock than this, as on an older kernel.
        package var unsafeLandlockABI: Int?

        package init() {}
    }

    /// What the spawner said of itself.
    package struct Greeting: Sendable {
        package var isRoot: Bool
        package var user: Int
        /// `nil` where it found none.
        package var bubblewrap: String?
    }

    /// A spawner that runs and that nobody talks to yet: what a process that executes itself again takes along.
    package struct Started: Sendable {
        package var processID: Int32
        /// This end of its control socket.
        package var socket: Int32

        package init(processID: Int32, socket: Int32) {
            self.processID = processID
            self.socket = socket
        }
    }

    /// Of the spawner process.
    package let processID: Int32
    /// What it serves to this worker, which is not root.
    let served: ServedPlaces?
    package let greeting: Greeting
    let reactor: ControlReactor
    let connection: SpawnerConnection

    /// Starts the spawner and waits until it answers.
    package static func launch(_ configuration: Configuration = Configuration()) async throws(SandboxError) -> Spawner {
        try await connect(start(configuration))
    }

    /// Starts the spawner, whose answer `connect` waits for.
    package static func start(_ configuration: Configuration) throws(SandboxError) -> Started {
        let program = try InitProgram.path()
        var arguments = configuration.prefix + [program, "spawner", "--uids", "\(configuration.users.lowerBound)-\(configuration.users.upperBound)"]
        if let bubblewrap = configuration.bubblewrap { arguments += ["--bwrap", bubblewrap] }
        if let proxy = configuration.proxyProgram { arguments += ["--proxy-program", proxy] }
        if let layers = configuration.unsafeLayers {
            arguments += ["--unsafe-layers", SandboxLayer.text(layers) + (configuration.unsafeLandlockABI.map { "/\($0)" } ?? "")]
        }
        arguments += configuration.served?.arguments ?? []
        var pair: [Int32] = [-1, -1]
        guard psb_socket_pair(&pair) == 0 else { throw SandboxError(.unavailable, "no descriptors are left for the spawner") }
        let pid = spawn(arguments, control: pair[1])
        Glibc.close(pair[1])
        guard pid > 0 else {
            Glibc.close(pair[0])
            throw SandboxError(.unavailable, "the spawner could not be started (\(arguments[0])): \(SystemError.reason(-pid))")
        }
        return Started(processID: pid, socket: pair[0])
    }

    /// Talks to a spawner of this process's and waits until it answers. Takes its socket over.
    /// - Parameter served: what it was started with.
    package static func connect(_ started: Started, served: ServedPlaces? = nil) async throws(SandboxError) -> Spawner {
        let pid = started.processID
        let reactor: ControlReactor
        do throws(SandboxError) {
            reactor = try ControlReactor()
        } catch {
            // The spawner ends with its socket.
            Glibc.close(started.socket)
            throw error
        }
        let connection = SpawnerConnection()
        let channel = ControlChannel(
            started.socket, reactor, onMessage: { connection.received($0) }, onEnd: { connection.ended("the spawner has ended: \($0)") })
        connection.channel.set(channel)
        channel.open()
        let hello = await connection.greeting.get()
        do throws(SandboxError) {
            let message = try hello.get()
            guard message["type"]?.string == "hello" else {
                throw SandboxError(.unavailable, "the spawner cannot work: \(message["reason"]?.string ?? "unknown greeting")")
            }
            let greeting = Greeting(
                isRoot: message["root"]?.bool ?? false, user: message["uid"]?.int ?? -1, bubblewrap: message["bubblewrap"]?.string)
            return Spawner(pid, greeting, served, reactor, connection)
        } catch {
            channel.close("refused")
            reactor.stop()
            waitpid(pid, nil, 0)
            throw error
        }
    }

    private init(
        _ processID: Int32, _ greeting: Greeting, _ served: ServedPlaces?, _ reactor: ControlReactor, _ connection: SpawnerConnection
    ) {
        self.processID = processID
        self.served = served
        self.greeting = greeting
        self.reactor = reactor
        self.connection = connection
    }

    /// Ends the spawner and every sandbox, and waits for it. Idempotent.
    package func close() async {
        connection.channel.current?.close("closed")
        let pid = processID
        // The spawner sees the end of its socket and exits at once; the wait is for the kernel.
        await withCheckedContinuation { continuation in
            Blocking.run {
                waitpid(pid, nil, 0)
                continuation.resume()
            }
        }
        reactor.stop()
    }

    /// Starts a sandbox; the descriptors, which the spawner's `StartOrder` names in order, are taken over.
    func start(_ request: JSONObject, descriptors: [Int32]) async throws(SandboxError) -> StartedSandbox {
        var request = request
        request["type"] = "start"
        let exit = OneValue<SpawnerConnection.Exit>()
        return StartedSandbox(try await connection.request(request, descriptors: descriptors, exit: exit), exit: exit)
    }

    /// Starts an egress proxy, as a user of its own if the spawner is root. The answer is this end of its control socket, which the caller
    /// owns; the proxy ends with it.
    package func startProxy() async throws(SandboxError) -> Int32 {
        var pair: [Int32] = [-1, -1]
        guard psb_socket_pair(&pair) == 0 else { throw SandboxError(.unavailable, "no descriptors are left for a proxy") }
        do throws(SandboxError) {
            _ = try await connection.request(["type": "proxy"], descriptors: [pair[1]])
        } catch {
            Glibc.close(pair[0])
            throw error
        }
        return pair[0]
    }

    /// Kills a sandbox and waits for its end.
    func kill(_ id: Int) async {
        connection.channel.current?.send(["type": "kill", "id": JSON(id)])
        _ = await exit(of: id)
    }

    /// Stops every process of a sandbox, or lets them run again, and waits until it is so.
    /// - Returns: how many processes those are; 0 of a sandbox that has ended.
    @discardableResult
    func setFrozen(_ id: Int, _ isFrozen: Bool) async throws(SandboxError) -> Int {
        let reply = try await connection.request(["type": isFrozen ? "freeze" : "thaw", "sandbox": JSON(id)], descriptors: [])
        if let error = reply.body["error"]?.string { throw SandboxError(.lost, error) }
        return reply.body["processes"]?.int ?? 0
    }

    /// How many processes a sandbox has now; 0 of one that has ended.
    func processCount(_ id: Int) async throws(SandboxError) -> Int {
        try await connection.request(["type": "count", "sandbox": JSON(id)], descriptors: []).body["processes"]?.int ?? 0
    }

    /// Waits for the end of a sandbox.
    func exit(of id: Int) async -> SpawnerConnection.Exit { await connection.exit(of: id).get() }

    private static func spawn(_ arguments: [String], control: Int32) -> Int32 {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { Glibc.close(null) }
        // No variable of the worker's is in the spawner's environment.
        var program = ProgramStart(arguments, descriptors: [null, null, 2, control])
        // Signals from the worker's terminal are the worker's to handle.
        program.hasOwnSession = true
        // It is needed until the worker has drained: its life is that of its control socket.
        program.ignoresTermination = true
        return program.start()
    }
}
