/// What happens to a match.
package enum RedactionAction: String, Sendable, CaseIterable, Comparable {
    /// It passes and is counted.
    case allow
    /// `[redacted: NAME HASH]`: the same text gives the same hash with the same key, so that equal values can be told from others.
    case hash
    /// `[redacted: NAME]`.
    case mask
    /// The whole text does not leave.
    case block

    private var strength: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    package static func < (left: Self, right: Self) -> Bool { left.strength < right.strength }
}

/// What is looked for on the way out, as plain values. Known secrets of a session come beside them and are always masked.
package struct RedactionRules: Sendable, Equatable {
    /// A pattern of the operator's; its text is described at `PatternParser`.
    package struct NamedPattern: Sendable, Equatable {
        package var name: String
        package var pattern: String
        package var ignoresCase: Bool
        package var action: RedactionAction

        package init(name: String, pattern: String, ignoresCase: Bool = false, action: RedactionAction = .mask) {
            self.name = name
            self.pattern = pattern
            self.ignoresCase = ignoresCase
            self.action = action
        }
    }

    /// Words or phrases of the operator's, looked for as they are.
    package struct Dictionary: Sendable, Equatable {
        /// Longest word in bytes of UTF-8.
        package static let longestWord = 256
        /// All words of all dictionaries together, in bytes.
        package static let mostBytes = 4 << 20

        package var name: String
        package var words: [String]
        /// ASCII letters match in both cases.
        package var ignoresCase: Bool
        /// No word character stands before or after a match.
        package var wholeWords: Bool
        package var action: RedactionAction

        package init(name: String, words: [String], ignoresCase: Bool = true, wholeWords: Bool = true, action: RedactionAction = .mask) {
            self.name = name
            self.words = words
            self.ignoresCase = ignoresCase
            self.wholeWords = wholeWords
            self.action = action
        }
    }

    /// Built-in detectors that run; one that is not named does not.
    package var detectors: [RedactionDetector: RedactionAction]
    package var patterns: [NamedPattern]
    package var dictionaries: [Dictionary]

    package init(detectors: [RedactionDetector: RedactionAction] = [:], patterns: [NamedPattern] = [], dictionaries: [Dictionary] = []) {
        self.detectors = detectors
        self.patterns = patterns
        self.dictionaries = dictionaries
    }

    /// Every detector masks, but e-mail addresses, which ordinary work is full of, are not looked for.
    package static let standard = RedactionRules(
        detectors: Swift.Dictionary(uniqueKeysWithValues: RedactionDetector.allCases.filter { $0 != .email }.map { ($0, .mask) }))

    /// Known secrets only.
    package static let none = RedactionRules()
}

/// A secret that must not leave, under the name that its marks and counts show. The value is in no description.
package struct KnownSecret: Sendable, CustomStringConvertible, CustomReflectable {
    /// A shorter value would be found in ordinary text.
    package static let leastBytes = 6
    package static let mostBytes = 64 << 10

    package let name: String
    let value: [UInt8]

    package init(name: String, value: [UInt8]) {
        self.name = name
        self.value = value
    }

    package var description: String { "secret \(name)" }
    package var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

/// Why rules cannot be used. Holds no secret value.
package struct RedactionError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The rule or secret.
    package var name: String
    package var reason: String

    package init(name: String, reason: String) {
        self.name = name
        self.reason = reason
    }

    package var description: String { "redaction rule '\(name)': \(reason)" }
}
