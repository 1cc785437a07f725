import FoundationEssentials
import ManagedAgentsClient
import NIOCore
import NIOPosix
import PosternTunnelLink
import Synchronization

/// The connections of a runtime through tunnels: dialled when they are needed, kept while they are idle, each for one identity, each no longer than
/// its certificate. `shutdown()` must be called once, last.
package final class TunnelConnections: Sendable {
    package struct Settings: Sendable {
        package var times = TunnelTimes()
        package var limits = TunnelPool<TunnelKey>.Limits()
        package var group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
        package var now: @Sendable () -> Date = { Date() }
        /// Looks at each connection to an edge, in its event loop, before anything is sent on it. A failure closes the connection.
        package var checkConnection: @Sendable (any Channel) -> EventLoopFuture<Void> = { $0.eventLoop.makeSucceededVoidFuture() }
        /// A connection to a connector stands.
        package var connected: @Sendable () -> Void = {}

        package init() {}
    }

    /// A connection between two requests, or in one.
    struct Connection: Sendable {
        let id: Int
        let stream: ByteStream
        /// Ends it with its certificate.
        var expiry: Scheduled<Void>
        /// Of the certificate that it stands on.
        var notAfter: Date
        /// Whether its call goes on past the certificate that it was dialled with.
        var isProlonged = false
        /// Whether it has carried a request.
        var isUsed = false
    }

    private struct State {
        var pool: TunnelPool<TunnelKey>
        var open: [Int: Connection] = [:]
        /// The TLS of keys, the newest last.
        var tls: [(key: TunnelKey, tls: TunnelTLS)] = []
        /// By ticket: those that wait, and what was decided for them and not picked up yet.
        var waiting: [Int: Pending<Void>] = [:]
        var decided: [Int: TunnelPool<TunnelKey>.Decision] = [:]
        var nextTicket = 0
        var isShut = false
    }

    let settings: Settings
    private let state: Mutex<State>

    package init(_ settings: Settings = Settings()) {
        self.settings = settings
        var limits = settings.limits
        limits.idle = settings.times.idle
        state = Mutex(State(pool: TunnelPool(limits)))
    }

    /// Connections that stand or are dialled; for metrics and tests.
    package var count: Int { state.withLock { $0.pool.count } }
    package var idleCount: Int { state.withLock { $0.pool.idleCount } }

    /// A connection for one request; a new one only where none of the same key is idle.
    /// - Parameter ask: how the request goes. Asked again once its turn has come: what waits for one of few connections may do so for minutes.
    func take(_ ask: @Sendable () async throws(TransportError) -> TunnelPassage) async throws(TransportError) -> Connection {
        while true {
            if Task.isCancelled { throw .cancelled }
            let passage = try await ask()
            let (route, credentials) = (passage.route, passage.credentials)
            let key = TunnelKey(route, credentials)
            let now = settings.now()
            guard now < credentials.notAfter else { throw TunnelDialError.certificateEnded.transportError }
            guard now >= credentials.notBefore else { throw TunnelDialError.certificateNotBegun.transportError }
            switch try await decide(key) {
            case .use(let id):
                guard let connection = state.withLock({ $0.open[id] }) else {
                    drop(id)
                    continue
                }
                // What ended meanwhile, or had something to say that nobody asked for, is of no use.
                guard await connection.stream.wake() else {
                    close(id)
                    continue
                }
                return connection
            case .dial(let id, let evicted):
                if let evicted { close(evicted) }
                let counting: TunnelRoute
                do throws(TransportError) { counting = try await ask().route } catch {
                    drop(id)
                    throw error
                }
                // Nobody is shown a way that does not count any more. A newer certificate is no other way.
                guard counting == route else {
                    drop(id)
                    continue
                }
                return try await dial(id, key, route, credentials)
            case .wait: continue
            }
        }
    }

    private func decide(_ key: TunnelKey) async throws(TransportError) -> TunnelPool<TunnelKey>.Decision {
        let pending = Pending<Void>()
        let (decision, ticket) = state.withLock { state -> (TunnelPool<TunnelKey>.Decision?, Int) in
            guard !state.isShut else { return (nil, 0) }
            state.nextTicket += 1
            let decision = state.pool.take(key, ticket: state.nextTicket, now: .now())
            if decision == .wait { state.waiting[state.nextTicket] = pending }
            return (decision, state.nextTicket)
        }
        guard let decision else { throw Self.isShut }
        guard decision == .wait else { return decision }
        await pending.value(onCancel: ())
        let later = state.withLock { state -> TunnelPool<TunnelKey>.Decision? in
            state.waiting[ticket] = nil
            state.pool.giveUp(ticket)
            return state.decided.removeValue(forKey: ticket)
        }
        guard Task.isCancelled else {
            guard let later else { throw Self.isShut }
            return later
        }
        // What was decided while this was cancelled is for the next one.
        switch later {
        case .use(let id): close(id)
        case .dial(let id, let evicted):
            if let evicted { close(evicted) }
            drop(id)
        case .wait, nil: break
        }
        throw .cancelled
    }

    private static let isShut = TransportError.refused("the connections are shut down")

    private func dial(
        _ id: Int, _ key: TunnelKey, _ route: TunnelRoute, _ credentials: TunnelCredentials
    ) async throws(TransportError) -> Connection {
        let stream: ByteStream
        do {
            let dialer = EdgeDialer(
                route: route, credentials: credentials, tls: try await tls(key, route, credentials), group: settings.group, times: settings.times,
                now: settings.now, checkConnection: settings.checkConnection)
            stream = try await dialer.dial()
        } catch {
            drop(id)
            if Task.isCancelled { throw .cancelled }
            if let error = error as? TunnelDialError { throw error.transportError }
            throw .refused("TLS cannot be set up with these certificates: \(error)")
        }
        let (left, expiry) = expiry(id, stream, credentials.notAfter)
        let connection = Connection(id: id, stream: stream, expiry: expiry, notAfter: credentials.notAfter)
        let isShut = state.withLock { state in
            guard !state.isShut else { return true }
            state.pool.dialled(id, expires: .now() + left)
            state.open[id] = connection
            return false
        }
        guard !isShut else {
            expiry.cancel()
            stream.close()
            throw Self.isShut
        }
        settings.connected()
        return connection
    }

    /// Ends the connection at that time.
    private func expiry(_ id: Int, _ stream: ByteStream, _ notAfter: Date) -> (TimeAmount, Scheduled<Void>) {
        let left = TimeAmount.nanoseconds(Int64(max(0, min(notAfter.timeIntervalSince(settings.now()), 48 * 3600)) * 1e9))
        let expiry = stream.channel.eventLoop.scheduleTask(in: left) { [weak self] in
            stream.close()
            self?.drop(id)
        }
        return (left, expiry)
    }

    /// The connector lets the call on the connection go on until then.
    func prolong(_ id: Int, until notAfter: Date) {
        guard let stream = state.withLock({ $0.open[id]?.stream }) else { return }
        let (left, expiry) = expiry(id, stream, notAfter)
        let old = state.withLock { state -> Scheduled<Void>? in
            guard var connection = state.open[id] else { return expiry }
            defer { state.open[id] = connection }
            let old = connection.expiry
            (connection.expiry, connection.notAfter, connection.isProlonged) = (expiry, notAfter, true)
            state.pool.prolong(id, expires: .now() + left)
            return old
        }
        old?.cancel()
    }

    /// Whether what the connection rests on has ended.
    func hasEnded(_ connection: Connection) -> Bool {
        settings.now() >= state.withLock { $0.open[connection.id]?.notAfter ?? connection.notAfter }
    }

    /// Most TLS configurations that are kept: those of the keys that were used last.
    private static let mostTLS = 32

    private func tls(_ key: TunnelKey, _ route: TunnelRoute, _ credentials: TunnelCredentials) async throws -> TunnelTLS {
        if let known = state.withLock({ state in state.tls.last { $0.key == key }?.tls }) { return known }
        // On a thread of its own: it reads files.
        let made = try await NIOThreadPool.singleton.runIfActive { try TunnelTLS(route, credentials) }
        state.withLock { state in
            state.tls.removeAll { $0.key == key }
            state.tls.append((key, made))
            if state.tls.count > Self.mostTLS { state.tls.removeFirst() }
        }
        return made
    }

    // MARK: After a request

    /// The answer is whole, and the connection may carry the next request.
    func giveBack(_ connection: Connection) {
        let id = connection.id
        guard !state.withLock({ $0.open[id]?.isProlonged ?? false }) else { return discard(connection) }
        // First at rest, then in the pool: whoever takes it from there finds what disturbed it.
        connection.stream.rest { [weak self] in self?.close(id) }
        let isShut = state.withLock { state in
            state.open[id]?.isUsed = true
            return state.isShut
        }
        guard !isShut else { return close(id) }
        resolve { $0.pool.giveBack(id, now: .now()) }
        connection.stream.channel.eventLoop.scheduleTask(in: settings.times.idle) { [weak self] in self?.sweep() }
    }

    /// The connection is of no use any more.
    func discard(_ connection: Connection) {
        connection.stream.close()
        drop(connection.id)
    }

    /// Reads what is left of an answer, for a moment, so that the connection can be used again: after an event stream has given the result, its end
    /// is a few bytes away, and a handshake is worth more than these.
    func drain(_ connection: Connection, _ http: InnerHTTP) {
        // By itself, since whoever called does not wait for it; it ends within `times.drain`, and with `shutdown`.
        Task { [self] in
            if await isDrained(connection, http) { giveBack(connection) } else { discard(connection) }
        }
    }

    private func isDrained(_ connection: Connection, _ http: InnerHTTP) async -> Bool {
        var http = http
        var left = settings.times.drainBytes
        let deadline = NIODeadline.now() + settings.times.drain
        do {
            while left >= 0 {
                switch try http.next() {
                case .ended(let isReusable): return isReusable
                case .head: continue
                case .part(let part): left -= part.readableBytes
                case .more:
                    let time = deadline - .now()
                    guard time > .zero, let bytes = try await connection.stream.read(within: time) else { return false }
                    try http.receive(bytes)
                }
            }
        } catch {
            // Of no use then, and nobody waits for why.
        }
        return false
    }

    private func close(_ id: Int) {
        state.withLock { $0.open[id] }?.stream.close()
        drop(id)
    }

    private func drop(_ id: Int) {
        state.withLock { $0.open.removeValue(forKey: id) }?.expiry.cancel()
        resolve { $0.pool.gone(id, now: .now()) }
    }

    private func sweep() { for id in state.withLock({ $0.pool.due(.now()) }) { close(id) } }

    /// Tells those that waited what was decided.
    private func resolve(_ change: (inout State) -> [(ticket: Int, decision: TunnelPool<TunnelKey>.Decision)]) {
        let told = state.withLock { state in
            change(&state).compactMap { ticket, decision in
                state.decided[ticket] = decision
                return state.waiting.removeValue(forKey: ticket)
            }
        }
        for pending in told { pending.resolve(()) }
    }

    /// Ends every connection, in use or not.
    package func shutdown() async {
        let (open, waiting) = state.withLock { state in
            state.isShut = true
            defer {
                state.open = [:]
                state.waiting = [:]
            }
            return (Array(state.open.values), Array(state.waiting.values))
        }
        for pending in waiting { pending.resolve(()) }
        for connection in open {
            connection.expiry.cancel()
            connection.stream.close()
            // The last word of TLS is on its way when this returns.
            try? await connection.stream.channel.eventLoop.submit {}.get()
        }
    }
}
