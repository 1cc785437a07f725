import PosternEgress
import PosternGate
import PosternPolicy

/// The secrets of one session while it is served: values for the proxy and the gate, placeholders for the sandbox.
struct SessionSecrets: Sendable {
    private(set) var values: [String: SecretValue] = [:]
    private(set) var bound: [BoundSecret] = []
    /// Why a secret has no value; what needs it fails and says so.
    private(set) var missing: [(name: String, reason: String)] = []

    /// Looks each of them up once. One that is not found is left out: nothing is ever sent with an empty or an old value.
    init(_ secrets: [PolicySecret], find: SecretFinder) async {
        var random = SystemRandomNumberGenerator()
        for secret in secrets {
            let value: SecretValue
            do throws(SecretSourceError) {
                value = try await find(secret.source).value
            } catch {
                missing.append((secret.name, error.description))
                continue
            }
            values[secret.name] = value
            guard let binding = secret.binding else { continue }
            guard let placeholder = Placeholder.make(for: value, using: &random),
                let one = BoundSecret(binding: binding, value: value, placeholder: placeholder)
            else {
                missing.append((secret.name, "its value has no form that a header can carry, or is too short to be told from other text"))
                continue
            }
            bound.append(one)
        }
    }

    init() {}

    /// Variables that hold the placeholders of the secrets that `policy` still gives.
    func placeholders(under policy: Policy) -> [(name: String, value: String)] {
        bound.compactMap { secret in
            guard let variable = policy.secret(secret.binding.name)?.binding?.variable else { return nil }
            return (name: variable, value: secret.placeholder)
        }
    }

    /// What the gate masks in every result.
    var known: [KnownSecret] {
        values.sorted { $0.key < $1.key }.filter { (KnownSecret.leastBytes...KnownSecret.mostBytes).contains($0.value.bytes.count) }.map {
            KnownSecret(name: $0.key, value: $0.value.bytes)
        }
    }
}
