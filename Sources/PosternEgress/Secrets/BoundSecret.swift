import PosternPolicy

/// A secret of one session with what stands for it inside the sandbox and where it may go.
package struct BoundSecret: Sendable, CustomStringConvertible {
    package let binding: SecretBinding
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

    package var description: String { "<secret \(binding.name)>" }
}
