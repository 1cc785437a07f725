/// What the interpreter needs to know of a request, whichever API it came by.
package struct Conversation: Sendable, Equatable {
    package enum Role: Sendable, Equatable { case user, assistant, system }

    package struct Result: Sendable, Equatable {
        package var isError: Bool
        /// The first text of the result, or its start.
        package var text: String
    }

    package struct Turn: Sendable, Equatable {
        package var role: Role
        /// The texts of the message (not those inside tool results).
        package var texts: [String] = []
        package var callIDs: [String] = []
        package var results: [Result] = []
        package var thinkingBlocks = 0
        package var unknownBlocks = 0
        /// About how many tokens the message holds.
        package var tokens = 0
        /// Tokens of the message up to its last cache breakpoint, if it has one.
        package var cachedTokens: Int?
    }

    package var model: String
    package var maximumTokens: Int
    package var streams: Bool
    package var turns: [Turn] = []
    /// Tokens of the system prompt and the tools.
    package var prefixTokens = 0
    /// Whether the system prompt or the tools hold a cache breakpoint.
    package var prefixIsCached = false
    /// Whether a breakpoint asks for an hour.
    package var cachesForAnHour = false

    package init(model: String, maximumTokens: Int, streams: Bool) {
        self.model = model
        self.maximumTokens = maximumTokens
        self.streams = streams
    }

    /// The place of the script: the newest user message with text.
    var scriptIndex: Int? { turns.lastIndex { $0.role == .user && !$0.texts.isEmpty } }

    package var inputTokens: Int { turns.reduce(prefixTokens) { $0 + $1.tokens } }
}
