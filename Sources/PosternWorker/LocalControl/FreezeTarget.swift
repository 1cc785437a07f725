import PosternJSON

/// What is to be frozen or thawed.
package enum FreezeTarget: Sendable, Hashable, CustomStringConvertible {
    case session(String)
    /// Every session of an agent.
    case agent(String)
    /// Everything that this worker serves, and whatever it takes up later.
    case all

    /// From the words of a command: `session ID`, `agent ID` or `all`. `nil` for anything else.
    package init?(words: [String]) {
        switch (words.first, words.count) {
        case ("all", 1): self = .all
        case ("session", 2) where Self.isID(words[1]): self = .session(words[1])
        case ("agent", 2) where Self.isID(words[1]): self = .agent(words[1])
        default: return nil
        }
    }

    private static func isID(_ text: String) -> Bool {
        (1...100).contains(text.utf8.count)
            && text.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 0x5F || $0 == 0x2D }
    }

    package var words: [String] {
        switch self {
        case .session(let id): ["session", id]
        case .agent(let id): ["agent", id]
        case .all: ["all"]
        }
    }

    package var description: String { words.joined(separator: " ") }

    package var json: JSON { .array(words.map(JSON.string)) }

    package init?(json: JSON?) {
        guard let words = json?.array?.map({ $0.string ?? "" }) else { return nil }
        self.init(words: words)
    }

    /// A session of `agent`, which may not be known, is meant.
    package func covers(session: String, agent: String?) -> Bool {
        switch self {
        case .session(let id): id == session
        case .agent(let id): id == agent
        case .all: true
        }
    }
}
