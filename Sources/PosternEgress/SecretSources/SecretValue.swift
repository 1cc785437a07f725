/// A secret's value. It does not print, whatever prints it: `description`, `debugDescription` and reflection show a placeholder. Its
/// bytes are read by name, where they are put to use.
package struct SecretValue: Sendable {
    /// The value itself.
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    package init(_ text: String) {
        bytes = Array(text.utf8)
    }

    /// The value as text, `nil` when it is not UTF-8.
    package var text: String? { String(validating: bytes, as: UTF8.self) }

    package var isEmpty: Bool { bytes.isEmpty }
}

/// Compares every byte whatever the outcome; only the lengths can be told apart by time.
extension SecretValue: Equatable {
    package static func == (left: SecretValue, right: SecretValue) -> Bool {
        equalInConstantTime(left.bytes, right.bytes)
    }
}

extension SecretValue: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
    package var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}
