import PosternCore
import PosternJSON

extension ModelLimits {
    /// Reads an entry of a list of models: the first of the named members that holds a number. A number that no model has is taken as not said.
    init(listed model: JSONObject, context: [String], output: [String]) {
        func first(_ names: [String]) -> Int? {
            names.lazy.compactMap { model[$0]?.int }.first { (1...1_000_000_000).contains($0) }
        }
        self.init(contextTokens: first(context), outputTokens: first(output))
    }
}
