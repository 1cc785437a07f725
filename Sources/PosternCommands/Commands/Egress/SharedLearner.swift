import PosternPolicy
import PosternWorker
import Synchronization

/// A learner that is fed from one thread and read from another.
final class SharedLearner: Sendable {
    private let learner: Mutex<PolicyLearner>

    init(base: Policy?) { learner = Mutex(PolicyLearner(base: base)) }

    func take(_ line: EgressFollowing.Line) {
        learner.withLock { learner in
            switch line {
            case .decision(let decision): learner.take(decision)
            case .missed(let lines): learner.missed(lines)
            }
        }
    }

    var document: String { learner.withLock { $0.document } }
}
