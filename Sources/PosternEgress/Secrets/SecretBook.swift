import PosternPolicy

/// The secrets of one session in its proxy: what requests may carry now, and everything that was ever one, which stays masked. A value
/// without I/O.
struct SecretBook: Sendable {
    /// Values of before that are remembered. A source that changes so often in one session hands out no secrets any more.
    static let mostFormer = 256

    private var present: [BoundSecret]
    private var former: [BoundSecret] = []
    private var suspended: Set<String> = []
    /// Of every value that the session ever had: what was sent once can come back later.
    private(set) var maskRules: AnswerMask.Rules
    /// Of every placeholder: one stays one.
    private(set) var guardRules: BodyGuard.Rules

    init(_ secrets: [BoundSecret]) {
        present = secrets
        maskRules = AnswerMask.Rules(secrets)
        guardRules = BodyGuard.Rules(secrets)
    }

    /// All secrets, withdrawn ones among them, each with where it may go now.
    var secrets: [BoundSecret] { present.map { suspended.contains($0.binding.name) ? $0.withdrawn : $0 } }

    /// Each goes only where one of `bindings` lets it go, and one without a binding nowhere.
    mutating func narrow(to bindings: [SecretBinding]) { present = present.map { $0.narrowed(to: bindings) } }

    /// The secret goes nowhere until it has a value again.
    mutating func suspend(_ name: String) { suspended.insert(name) }

    /// Gives a secret another value. It goes where the one before may go; a name that is new here goes where its binding says. With another
    /// placeholder, the one before stands for nothing any more and is refused everywhere.
    ///
    /// - Returns: false when one value is part of another one: then masking one would leave the rest of the other.
    mutating func rotate(_ new: BoundSecret) -> Bool {
        let others = (present + former).map(\.value).filter { $0 != new.value }
        guard !others.contains(where: { Bytes.contains($0.bytes, new.value.bytes) || Bytes.contains(new.value.bytes, $0.bytes) }) else {
            return false
        }
        let name = new.binding.name
        let before = present.last { $0.binding.name == name }
        let secret = before.map { new.bound(by: $0.binding) } ?? new
        if let index = present.firstIndex(where: { $0.binding.name == name && $0.placeholder == new.placeholder }) {
            if present[index].value != new.value { former.append(present[index].withdrawn) }
            present[index] = secret
        } else {
            present = present.map { $0.binding.name == name ? $0.withdrawn : $0 }
            present.append(secret)
        }
        former.removeAll { $0.value == new.value }
        former.removeFirst(max(0, former.count - Self.mostFormer))
        suspended.remove(name)
        maskRules = AnswerMask.Rules(present + former)
        guardRules = BodyGuard.Rules(present)
        return true
    }
}
