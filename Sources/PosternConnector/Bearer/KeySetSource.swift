import NIOCore
import NIOPosix
import NIOSSL
import PosternMCP
import Synchronization

/// The keys of an issuer behind a URL: asked for by one task, again and again, and at once, within bounds, where a token names one that is not known.
final class KeySetSource: Sendable {
    /// For so long a token waits for its key.
    private static let patience = TimeAmount.seconds(10)
    let url: KeySetURL
    let authorities: [NIOSSLCertificate]?
    private let fetch: @Sendable () async -> Result<KeySet, KeySetProblem>
    private let loop: any EventLoop
    private let now: @Sendable () -> Double
    private let observe: @Sendable (KeySetProblem?) -> Void
    private let wake = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    private let state = Mutex(State())

    private struct State {
        var cache = KeySetCache()
        var waiting: [Pending<Void>] = []
        var isOver = false
    }

    /// - Parameter now: seconds of a clock that never goes back.
    init(
        _ url: KeySetURL, authorities: [NIOSSLCertificate]?, loop: any EventLoop,
        now: @escaping @Sendable () -> Double = { Double(NIODeadline.now().uptimeNanoseconds) / 1e9 },
        observe: @escaping @Sendable (KeySetProblem?) -> Void, fetch: @escaping @Sendable () async -> Result<KeySet, KeySetProblem>
    ) {
        (self.url, self.authorities, self.loop, self.now, self.observe, self.fetch) = (url, authorities, loop, now, observe, fetch)
    }

    /// Asks until it is cancelled or retired.
    func run() async {
        wake.continuation.yield()
        var timer: Scheduled<Void>?
        for await _ in wake.stream {
            if state.withLock({ $0.cache.begin(now: now()) }) { await ask() }
            // Also where it was too early for asking: else nobody would wake this again.
            let wait = state.withLock { $0.cache.untilNext(now: now()) }
            timer?.cancel()
            timer = loop.scheduleTask(in: .nanoseconds(Int64(wait * 1e9))) { [wake] in wake.continuation.yield() }
        }
        timer?.cancel()
        let waiting = state.withLock { state in
            state.isOver = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in waiting { one.resolve(()) }
    }

    /// Asks once, and tells those that wait.
    private func ask() async {
        let result = await fetch()
        let waiting = state.withLock { state in
            state.cache.ended(result, now: now())
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in waiting { one.resolve(()) }
        if case .failure(let problem) = result { observe(problem) } else { observe(nil) }
    }

    /// Asks no more, and `run` ends.
    func retire() { wake.continuation.finish() }

    /// The key that a token names. Waits where the issuer is asked, which the source bounds.
    func key(_ id: String, _ algorithm: TokenAlgorithm) async throws(BearerRefusal) -> TokenKey {
        var hasWaited = false
        while true {
            let pending = Pending<Void>()
            let answer = state.withLock { state in
                let answer = state.cache.ask(id, now: now())
                if case .wait = answer, !hasWaited, !state.isOver { state.waiting.append(pending) }
                return answer
            }
            switch answer {
            case .known(let keys):
                guard let key = keys.key(id, algorithm) else { throw .algorithm }
                return key
            case .unknown: throw .unknownKey
            case .none(let problem): throw .noKeys(problem)
            case .wait:
                guard !hasWaited, !state.withLock({ $0.isOver }) else { throw .noKeys("they did not come in time") }
                hasWaited = true
                wake.continuation.yield()
                // An issuer that is slow holds nobody's place for as long as it likes.
                let late = loop.scheduleTask(in: Self.patience) { pending.resolve(()) }
                await pending.value(onCancel: ())
                late.cancel()
            }
        }
    }

    /// The same of what is known now, without asking anybody.
    func held(_ id: String, _ algorithm: TokenAlgorithm) -> TokenKey? {
        state.withLock { $0.cache.current(now: now()) }?.key(id, algorithm)
    }
}
