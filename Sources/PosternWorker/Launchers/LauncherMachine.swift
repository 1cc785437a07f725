/// The life of one claimed item whose work a script has done elsewhere. A value without I/O; times are durations of one monotonic clock.
///
/// The item is acknowledged and nobody has sent a heartbeat for it, also while the session is frozen and its script waits: the worker that the script starts sends the first one, which makes the
/// lease its own. A script may stay until that worker has ended, or return at once. When it is gone the machine asks who holds the item; if
/// nobody takes it in time, it claims the item with a lease of one second, which at the same time keeps a late worker out, and lets that
/// lapse: the item is back in the queue, and no session waits for a worker that never came.
package struct LauncherMachine: Sendable, Equatable {
    /// How a script ended.
    package enum ScriptEnd: Sendable, Equatable {
        case exited(Int32)
        case signalled(Int32)
        case notStarted(String)
    }

    /// Who holds the item.
    package enum Holder: Sendable, Equatable {
        /// Nobody has sent a heartbeat.
        case nobody
        /// Another worker has.
        case somebody
        /// The item is stopped or being stopped.
        case over
        /// The service did not say, or gave no answer.
        case unknown
    }

    package enum StopReason: Sendable, Equatable {
        /// The worker ends in order.
        case drain
        /// The same session was claimed anew: the lease is not this claim's any more.
        case superseded
        /// The worker ends at once.
        case abandon
    }

    package enum Input: Sendable, Equatable {
        /// Acknowledged. `failures`: how often in a row the session's script has failed before.
        case begin(failures: Int)
        case timer
        /// The answer to `run` while an order to freeze covers the session: nothing was started.
        case held
        /// The order is taken back.
        case thawed
        case ended(ScriptEnd)
        /// The answer to `ask`.
        case holder(Holder)
        /// The answer to `claim`: `true` if the item is this worker's for its last second, `false` if another holds it, `nil` if unknown.
        case claimed(Bool?)
        case stop(StopReason)
    }

    package enum End: Sendable, Equatable {
        /// Another worker serves it.
        case handedOver
        /// The item was stopped while the script ran, or right after.
        case finished
        /// It is back in the queue; `failure` says why, unless the worker drains.
        case released(failure: String?)
        /// It comes back into the queue when its lease runs out.
        case lapsing(failure: String?)
        case superseded

        /// For the audit.
        package var word: String {
            switch self {
            case .handedOver: "handed over: another worker serves the session"
            case .finished: "the item is stopped"
            case .released(nil): "the item goes back to the queue"
            case .lapsing(nil): "the item goes back to the queue when its lease ends"
            case .released(let failure?), .lapsing(let failure?): "the launcher has failed: \(failure)"
            case .superseded: "the session was claimed anew"
            }
        }
    }

    package enum Action: Sendable, Equatable {
        /// `timer` after the duration; replaces the timer before.
        case sleep(Duration)
        case run
        /// SIGTERM to the script's processes.
        case terminate
        /// SIGKILL to all of them.
        case kill
        /// Ask who holds the item, without touching its lease.
        case ask
        /// Claim it with a lease of one second, if nobody has.
        case claim
        case end(End)
    }

    private enum State: Sendable, Equatable {
        case idle
        case delayed
        /// Frozen before the script ran.
        case held
        case running
        /// The script was told to end.
        case ending(reason: StopReason?, isKilled: Bool)
        case asking(until: Duration, failure: String?, isPaused: Bool)
        case claiming(failure: String?)
        case over
    }

    package static let probeInterval: Duration = .seconds(2)

    private let timeLimit: Duration?
    private let handoverGrace: Duration
    private let stopGrace: Duration
    private var state = State.idle

    package init(timeLimit: Duration? = nil, handoverGrace: Duration = .seconds(60), stopGrace: Duration = .seconds(28)) {
        self.timeLimit = timeLimit
        self.handoverGrace = handoverGrace
        self.stopGrace = stopGrace
    }

    /// The wait before a script that has failed runs again for the same session: 2, 4, … 60 s.
    package static func delay(failures: Int) -> Duration { failures <= 0 ? .zero : .seconds(failures >= 6 ? 60 : 1 << failures) }

    package mutating func apply(_ input: Input, now: Duration) -> [Action] {
        switch (state, input) {
        case (.over, _): return []
        case (.idle, .begin(let failures)):
            let delay = Self.delay(failures: failures)
            if delay > .zero {
                state = .delayed
                return [.sleep(delay)]
            }
            return run()
        case (.delayed, .timer), (.held, .thawed): return run()
        case (.running, .held):
            state = .held
            return []
        // Told to end before the launch came to its answer.
        case (.ending(let reason?, _), .held): return leave(reason, failure: nil)
        case (.ending(nil, _), .held):
            state = .held
            return []
        case (.idle, .stop(let reason)), (.delayed, .stop(let reason)), (.held, .stop(let reason)): return leave(reason, failure: nil)

        case (.running, .timer):
            state = .ending(reason: nil, isKilled: false)
            return [.terminate, .sleep(stopGrace)]
        case (.running, .stop(.abandon)): return abandon()
        case (.running, .stop(let reason)):
            state = .ending(reason: reason, isKilled: false)
            return [.terminate, .sleep(stopGrace)]
        case (.running, .ended(let end)): return look(end, now)

        case (.ending(let reason, false), .timer):
            state = .ending(reason: reason, isKilled: true)
            return [.kill]
        case (.ending, .stop(.abandon)): return abandon()
        case (.ending(nil, let isKilled), .stop(let reason)):
            state = .ending(reason: reason, isKilled: isKilled)
            return []
        case (.ending(let reason?, _), .ended):
            // What the script has left behind goes with it.
            return [.kill] + leave(reason, failure: nil)
        case (.ending(nil, _), .ended): return [.kill] + claim("it did not end within \(timeLimit ?? .zero)")

        case (.asking(_, _, _), .stop(let reason)): return leave(reason, failure: nil)
        case (.asking(let until, let failure, false), .holder(let holder)):
            switch holder {
            case .somebody: return end(.handedOver)
            case .over: return end(.finished)
            case .nobody, .unknown:
                if failure != nil || now >= until { return claim(failure ?? "it returned and no worker took the session over") }
                state = .asking(until: until, failure: nil, isPaused: true)
                return [.sleep(min(Self.probeInterval, until - now))]
            }
        case (.asking(let until, let failure, true), .timer):
            state = .asking(until: until, failure: failure, isPaused: false)
            return [.ask]

        case (.claiming(let failure), .claimed(let isOurs)):
            switch isOurs {
            case true?: return end(.released(failure: failure))
            case false?: return end(.handedOver)
            case nil: return end(.lapsing(failure: failure))
            }
        case (.claiming(let failure), .stop(.abandon)): return end(.lapsing(failure: failure))
        default: return []
        }
    }

    private mutating func run() -> [Action] {
        state = .running
        // The timer first: where nothing is launched it is taken back.
        return (timeLimit.map { [.sleep($0)] } ?? []) + [.run]
    }

    /// The script is gone by itself.
    private mutating func look(_ end: ScriptEnd, _ now: Duration) -> [Action] {
        let failure: String?
        switch end {
        case .exited(0): failure = nil
        case .exited(let code): failure = "it ended with status \(code)"
        case .signalled(let signal): failure = "it was ended by signal \(signal)"
        case .notStarted(let reason): return claim("it could not be started: \(reason)")
        }
        state = .asking(until: now + handoverGrace, failure: failure, isPaused: false)
        return [.ask]
    }

    private mutating func leave(_ reason: StopReason, failure: String?) -> [Action] {
        switch reason {
        case .superseded: end(.superseded)
        case .abandon: end(.lapsing(failure: failure))
        case .drain: claim(failure)
        }
    }

    private mutating func claim(_ failure: String?) -> [Action] {
        state = .claiming(failure: failure)
        return [.claim]
    }

    private mutating func abandon() -> [Action] { [.kill] + end(.lapsing(failure: nil)) }

    private mutating func end(_ end: End) -> [Action] {
        state = .over
        return [.end(end)]
    }
}
