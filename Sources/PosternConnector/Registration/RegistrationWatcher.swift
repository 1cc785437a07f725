import FoundationEssentials
import NIOCore
import NIOPosix
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// Asks for the tunnel's log again and again, keeps what it has seen, and says whether calls may go on. The decisions are `RegistrationWatch`'s.
package final class RegistrationWatcher: Sendable {
    private let watched: Mutex<Watched>

    /// The watch with its last word: each call asks whether it may be let through, and within one second and one state that stays the same.
    private struct Watched {
        var watch: RegistrationWatch { didSet { said = nil } }
        private var said: (second: Int, refusal: RegistrationRefusal?)?

        init(_ watch: RegistrationWatch) { self.watch = watch }

        mutating func refusal(_ second: Int) -> RegistrationRefusal? {
            if let said, said.second == second { return said.refusal }
            let refusal = watch.refusal(now: second)
            said = (second, refusal)
            return refusal
        }
    }
    private let dialer: Mutex<LegDialer>
    private let dial: @Sendable (ConnectorConfiguration, ConnectorMaterial) throws -> LegDialer
    private let file: RegistrationFile
    private let interval: Duration
    private let now: @Sendable () -> Date
    private let observe: @Sendable (RegistrationEvent) -> Void
    private let changed = Mutex<@Sendable () -> Void>({})
    private let nudges = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    /// Between two rounds while an answer that did not fit is held against calls, at most.
    private static let doubtful = Duration.seconds(1)
    /// The refusal that was told last.
    private let told = Mutex<RegistrationRefusal.Reason?>(nil)

    /// - Parameters:
    ///   - stateFile: absolute.
    ///   - observe: hears of what happens; it must not wait.
    /// - Throws: where what was kept is not this connector's: it is not begun anew silently.
    package init(
        _ pins: RegistrationWatch.Pins, _ configuration: ConnectorConfiguration, _ material: ConnectorMaterial, stateFile: String, interval: Duration,
        resolve: @escaping ConnectorResolver, times: ConnectorTimes = ConnectorTimes(),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, now: @escaping @Sendable () -> Date = { Date() },
        observe: @escaping @Sendable (RegistrationEvent) -> Void
    ) throws {
        file = RegistrationFile(state: stateFile, accepted: stateFile + ".accepted")
        if let kept = try file.load() {
            do {
                watched = Mutex(Watched(try RegistrationWatch(pins, json: kept)))
            } catch {
                throw ConnectorError(
                    "\(stateFile): \(error). Find out why; where the tunnel or the key of its log was changed on purpose, remove the file, and what is "
                        + "registered then is taken as it is")
            }
        } else {
            let fresh = RegistrationWatch(pins, began: Self.seconds(now()))
            // Who keeps every head back from the first start on gains no time by a restart.
            try file.store(fresh.json)
            watched = Mutex(Watched(fresh))
        }
        dial = { configuration, material in
            LegDialer(
                edges: configuration.edges, tls: try material.outerTLS(), signer: material.signer, proxy: try material.proxy(configuration.edges),
                resolve: resolve,
                group: group,
                times: times)
        }
        dialer = Mutex(try dial(configuration, material))
        self.interval = interval
        self.now = now
        self.observe = observe
    }

    /// Why no call is let through now; `nil` where calls are.
    package func refusal() -> RegistrationRefusal? {
        let refusal = watched.withLock { $0.refusal(Self.seconds(now())) }
        tell(refusal)
        return refusal
    }

    /// Why no call is let through that stands on this server certificate; `nil` where calls are.
    package func refusal(ofServer fingerprint: String) -> RegistrationRefusal? { watched.withLock { $0.watch.refusal(ofServer: fingerprint) } }

    /// Calls `body` whenever the log has changed, and with it perhaps what may run.
    package func onChange(_ body: @escaping @Sendable () -> Void) { changed.withLock { $0 = body } }

    /// Asks the edges of another reading of the document from now on, and knows the authority of its server certificate. What it says of registrations
    /// themselves counts from the next start.
    package func reload(_ configuration: ConnectorConfiguration, _ material: ConnectorMaterial) throws {
        let new = try dial(configuration, material)
        watched.withLock { $0.watch.know(material.server) }
        dialer.withLock { $0 = new }
        nudge()
    }

    /// Between two rounds that an edge asks for: one that does so all the time gets no more.
    private static let pause = Duration.milliseconds(50)

    /// Asks at once: a leg stands, or an edge says that there is news.
    package func nudge() { nudges.continuation.yield() }

    /// Runs until it is cancelled.
    package func run() async {
        // What has ended is forgotten: a connector may be in doubt for days.
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in
                while !Task.isCancelled {
                    try? await Task.sleep(for: interval)
                    nudge()
                }
            }
            nudge()
            for await _ in nudges.stream {
                await round()
                if watched.withLock({ $0.watch.unproven != nil }) {
                    // Calls are refused until an answer fits, which may be soon: a clock that was off is set, an edge that was bad is gone.
                    group.addTask { [self] in
                        try? await Task.sleep(for: min(interval, Self.doubtful))
                        nudge()
                    }
                }
                try? await Task.sleep(for: Self.pause)
            }
            group.cancelAll()
        }
    }

    // MARK: Rounds

    /// Asks the edges one after the other until one gives an answer that counts. What does not fit is held against calls after every edge had its
    /// turn: one bad edge beside good ones stops nothing.
    private func round() async {
        do {
            let words = try await file.words()
            let isOver = watched.withLock { watched in
                let wasAlarmed = watched.watch.alarm != nil
                watched.watch.accept(words)
                return wasAlarmed && watched.watch.alarm == nil
            }
            if isOver { await keep() }
        } catch {
            observe(.notKept(reason: "\(error)"))
        }
        let dialer = dialer.withLock { $0 }
        var doubt: RegistrationError?
        for address in dialer.edges.addresses.shuffled() {
            if Task.isCancelled { return }
            do {
                if try await ask(address, dialer, &doubt) {
                    doubt = nil
                    break
                }
            } catch {
                if Task.isCancelled { return }
                observe(.unanswered(edge: address.description, reason: "\(error)"))
            }
        }
        if Task.isCancelled { return }
        let refusal = watched.withLock { watched in
            if let doubt { watched.watch.doubt(doubt) }
            return watched.refusal(Self.seconds(now()))
        }
        tell(refusal)
    }

    /// Whether the edge's answer counts. One deadline is for all that the edge is asked.
    /// - Parameter doubt: why an answer did not fit, where one did not.
    private func ask(_ address: Authority, _ dialer: LegDialer, _ doubt: inout RegistrationError?) async throws -> Bool {
        let deadline = NIODeadline.now() + dialer.times.registrations
        var since = watched.withLock { $0.watch.since }
        while true {
            let request = watched.withLock { RegistrationRequest(tunnelID: $0.watch.pins.tunnelID, since: since) }
            let answer = try await dialer.registrations(address, request, until: deadline)
            let (result, isFirst) = watched.withLock { watched in
                let isFirst = watched.watch.head == nil
                let result = Result { () throws(RegistrationError) in try watched.watch.take(answer, now: Self.seconds(now())) }
                return (result, isFirst)
            }
            if case .failure(let error) = result { doubt = error }
            switch try result.get() {
            case .accepted(let news):
                if !news.isEmpty { changed.withLock { $0 }() }
                await keep()
                tell(news, isFirst: isFirst)
                return true
            case .alarm:
                await keep()
                return true
            case .old:
                observe(.repeated(edge: address.description))
                return false
            case .needsWhole:
                doubt = .entriesAreNotTheHeads
                guard since > 0 else { throw RegistrationError.entriesAreNotTheHeads }
                since = 0
            }
        }
    }

    private func keep() async {
        let json = watched.withLock { $0.watch.json }
        do { try await file.save(json) } catch { observe(.notKept(reason: "\(error)")) }
    }

    // MARK: Telling

    private func tell(_ news: [RegistrationNews], isFirst: Bool) {
        let (size, counting, foreign) = watched.withLock { watched in
            let (watch, time) = (watched.watch, Self.seconds(now()))
            return (watch.entries.count, watch.ledger.authorities.filter { $0.counts(at: time) }.map(\.fingerprint), Set(watch.foreignKeys))
        }
        guard !isFirst else { return observe(.began(size: size, authorities: counting)) }
        for item in news {
            observe(.registered(item, isForeignKey: item.type == "connector_key_enrolled" && foreign.contains(item.subject)))
        }
    }

    /// Once when calls begin to be refused for a reason, and once when they are taken again.
    private func tell(_ refusal: RegistrationRefusal?) {
        let isNew = told.withLock { told in
            defer { told = refusal?.reason }
            return told != refusal?.reason
        }
        guard isNew else { return }
        if let refusal { observe(.refusing(refusal)) } else { observe(.resumed) }
    }

    private static func seconds(_ date: Date) -> Int { Int(date.timeIntervalSince1970.rounded(.down)) }
}
