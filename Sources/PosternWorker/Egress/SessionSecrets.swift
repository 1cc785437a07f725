import PosternEgress
import PosternGate
import PosternPolicy

/// The secrets of one session while it is served: values for the proxy and the gate, placeholders for the sandbox.
struct SessionSecrets: Sendable {
    /// What a value that was looked up again means for the session.
    enum Replacement: Sendable {
        case unchanged
        /// The new value stands behind the placeholder of before; `nil` for a secret that only a forward uses.
        case inPlace(BoundSecret?)
        /// The placeholder of before does not fit it: the sandbox has to be given another one.
        case reshaped(BoundSecret)
        /// It cannot be used, and the one before is none any more.
        case unusable(String)
    }

    private(set) var values: [String: SecretValue] = [:]
    private(set) var bound: [BoundSecret] = []
    /// Why a secret has no value; what needs it fails and says so.
    private(set) var missing: [(name: String, reason: String)] = []
    /// Values of before, and those of secrets that are withdrawn: results are still searched for them.
    private var former: [(name: String, value: SecretValue)] = []
    /// Values of before that are remembered.
    private static let mostFormer = 256

    private static let formless = "its value has no form that a header can carry, or is too short to be told from other text"

    /// Looks each of them up. One that is not found is left out: nothing is ever sent with an empty or an old value.
    init(_ secrets: [PolicySecret], find: SecretFinder) async {
        for secret in secrets {
            let value: SecretValue
            do throws(SecretSourceError) {
                value = try await find(secret.source).value
            } catch {
                missing.append((secret.name, error.description))
                continue
            }
            if case .unusable(let reason) = replace(secret, with: value) { missing.append((secret.name, reason)) }
        }
    }

    init() {}

    /// Takes the value that a secret has now.
    mutating func replace(_ secret: PolicySecret, with value: SecretValue) -> Replacement {
        let name = secret.name
        guard values[name] != value else { return .unchanged }
        retire(name)
        // Also where nothing can be made of it, no result may show it.
        values[name] = value
        guard let binding = secret.binding else { return .inPlace(nil) }
        if isPartOfAnother(value) {
            lose(name)
            return .unusable("its value is part of another secret's, or holds one, so that it could not be masked")
        }
        if let index = bound.firstIndex(where: { $0.binding.name == name }) {
            if let fitting = BoundSecret(binding: binding, value: value, placeholder: bound[index].placeholder) {
                bound[index] = fitting
                return .inPlace(fitting)
            }
            bound.remove(at: index)
        }
        var random = SystemRandomNumberGenerator()
        guard let placeholder = Placeholder.make(for: value, using: &random),
            let fresh = BoundSecret(binding: binding, value: value, placeholder: placeholder)
        else {
            lose(name)
            return .unusable(Self.formless)
        }
        bound.append(fresh)
        return .reshaped(fresh)
    }

    /// The secret has no value any more. Its placeholder stays what it was, for the case that it comes back; false where it had none.
    @discardableResult
    mutating func lose(_ name: String) -> Bool {
        guard values[name] != nil else { return false }
        retire(name)
        return true
    }

    private mutating func retire(_ name: String) {
        guard let value = values.removeValue(forKey: name) else { return }
        former.append((name, value))
        former.removeFirst(max(0, former.count - Self.mostFormer))
    }

    /// Of two values where one holds the other, the mask of the one would leave the rest of the other.
    private func isPartOfAnother(_ value: SecretValue) -> Bool {
        let bound = Set(bound.map(\.binding.name))
        let others = values.filter { bound.contains($0.key) }.map(\.value) + former.map(\.value)
        return others.contains { other in
            other != value && (other.bytes.contains(value.bytes) || value.bytes.contains(other.bytes))
        }
    }

    /// Variables that hold the placeholders of the secrets that `policy` still gives.
    func placeholders(under policy: Policy) -> [(name: String, value: String)] {
        bound.compactMap { secret in
            guard let variable = policy.secret(secret.binding.name)?.binding?.variable else { return nil }
            return (name: variable, value: secret.placeholder)
        }
    }

    /// What the gate masks in every result: present values and those of before, each once.
    var known: [KnownSecret] {
        var seen: Set<[UInt8]> = []
        let all = values.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) } + former
        return all.filter { (KnownSecret.leastBytes...KnownSecret.mostBytes).contains($0.value.bytes.count) && seen.insert($0.value.bytes).inserted }
            .map { KnownSecret(name: $0.name, value: $0.value.bytes) }
    }
}
