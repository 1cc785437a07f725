/// When the worker polls (contract, sections 6.1 and 6.3). A value without I/O: time and chance come in.
package struct PollMachine: Sendable, Equatable {
    package enum Step: Sendable, Equatable {
        case poll
        case wait(Duration)
        /// The queue is empty and the worker was asked to drain it.
        case finished
        /// Nothing can help: the reason is the worker's error.
        case failed
    }

    package enum Answer: Sendable, Equatable {
        case item
        /// `held`: the service waited as long as it was asked to, so the next poll follows without a gap.
        case empty(held: Bool)
        /// A failure that waiting may cure, with the wait that the service asked for.
        case transient(retryAfter: Duration?)
        case fatal
    }

    private let drains: Bool
    private var pollFailures = 0
    private var ackFailures = 0

    package init(drains: Bool = false) { self.drains = drains }

    /// `random` is uniform in 0..<1.
    package mutating func polled(_ answer: Answer, random: Double) -> Step {
        switch answer {
        case .item:
            pollFailures = 0
            return .poll
        case .empty(let held):
            pollFailures = 0
            if drains { return .finished }
            return held ? .poll : .wait(.seconds(1) + .seconds(2) * random)
        case .transient(let retryAfter):
            pollFailures += 1
            return .wait(max(Self.backoff(pollFailures, random), retryAfter ?? .zero))
        case .fatal: return .failed
        }
    }

    package enum AckAnswer: Sendable, Equatable { case done, transient(retryAfter: Duration?), fatal }

    package enum AckStep: Sendable, Equatable {
        case serve
        /// The claim is dropped; the item comes back by itself. Then wait.
        case drop(Duration)
        case forceStop
    }

    package mutating func acknowledged(_ answer: AckAnswer, random: Double) -> AckStep {
        switch answer {
        case .done:
            ackFailures = 0
            return .serve
        case .transient(let retryAfter):
            ackFailures += 1
            return .drop(max(Self.backoff(ackFailures, random), retryAfter ?? .zero))
        case .fatal: return .forceStop
        }
    }

    /// min(60, 2ⁿ) s plus up to one second.
    private static func backoff(_ failures: Int, _ random: Double) -> Duration {
        .seconds(failures >= 6 ? 60 : 1 << failures) + .seconds(1) * random
    }
}
