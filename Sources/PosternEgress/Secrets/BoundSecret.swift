import PosternPolicy

/// A secret of one session with what stands for it inside the sandbox and where it may go.
package struct BoundSecret: Sendable, CustomStringConvertible {
    package private(set) var binding: SecretBinding
    package let value: SecretValue
    /// As long as the value.
    package let placeholder: String

    /// `nil` when the placeholder does not fit the value: it is of another shape (letters and digits elsewhere), or the value itself.
    package init?(binding: SecretBinding, value: SecretValue, placeholder: String) {
        guard placeholder.utf8.count == value.bytes.count, !placeholder.utf8.elementsEqual(value.bytes),
            placeholder.utf8.count >= Placeholder.leastRandom, placeholder.utf8.count <= Placeholder.mostBytes,
            value.bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            // Each written form of the one is then as long as that form of the other.
            zip(placeholder.utf8, value.bytes).allSatisfy({ Placeholder.isReplaced($0) ? Placeholder.isReplaced($1) : $0 == $1 })
        else { return nil }
        self.binding = binding
        self.value = value
        self.placeholder = placeholder
    }

    /// Whether the session may not use it any more. Its placeholder is still looked for, and its value masked.
    var isWithdrawn: Bool { binding.hosts.isEmpty }

    /// The secret where both its present binding and one of `bindings` let it go; withdrawn where none does. Never wider than before.
    func narrowed(to bindings: [SecretBinding]) -> BoundSecret {
        var narrowed = self
        let mine = Self.withPorts(binding)
        if let both = bindings.first(where: { $0.name == binding.name }).flatMap({ mine.narrowed(by: Self.withPorts($0)) }) {
            narrowed.binding = both
        } else {
            (narrowed.binding.hosts, narrowed.binding.body) = ([], nil)
        }
        return narrowed
    }

    /// The same secret where `binding` lets it go.
    func bound(by binding: SecretBinding) -> BoundSecret {
        var bound = self
        bound.binding = binding
        return bound
    }

    /// The secret that goes nowhere any more.
    var withdrawn: BoundSecret { narrowed(to: []) }

    /// A pattern without a port means 443 for a secret; in an intersection of patterns it would mean every port.
    private static func withPorts(_ binding: SecretBinding) -> SecretBinding {
        var binding = binding
        binding.hosts = binding.hosts.map { HostPattern($0.hosts, port: $0.port ?? 443) }
        return binding
    }

    package var description: String { "<secret \(binding.name)>" }
}
