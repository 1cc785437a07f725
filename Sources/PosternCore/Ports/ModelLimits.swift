/// What a model takes and gives, in tokens. Nil is what nobody has said.
package struct ModelLimits: Sendable, Equatable {
    /// What the context holds at most.
    package var contextTokens: Int?
    /// The longest answer.
    package var outputTokens: Int?

    package init(contextTokens: Int? = nil, outputTokens: Int? = nil) {
        self.contextTokens = contextTokens
        self.outputTokens = outputTokens
    }

    /// The smaller of two bounds, each where it is known.
    static func smaller(_ one: Int?, _ other: Int?) -> Int? {
        guard let one else { return other }
        return min(one, other ?? one)
    }
}
