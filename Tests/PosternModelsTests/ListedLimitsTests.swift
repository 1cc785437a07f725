import PosternCore
import PosternJSON
import Testing

@testable import PosternModels

/// What entries of lists of models say, as services write them.
@Suite struct ListedLimitsTests {
    private static let samples: [(JSONObject, ModelLimits)] = [
        (["max_model_len": 8192], ModelLimits(contextTokens: 8_192)),
        (["context_window": 131_072, "max_completion_tokens": 8_192], ModelLimits(contextTokens: 131_072, outputTokens: 8_192)),
        (["max_model_len": .null, "context_length": 4_096], ModelLimits(contextTokens: 4_096)),
        (["max_model_len": 0, "max_completion_tokens": -1], ModelLimits()), (["max_model_len": "8192"], ModelLimits()), ([:], ModelLimits()),
    ]

    @Test(arguments: samples) func entries(entry: JSONObject, limits: ModelLimits) {
        #expect(
            ModelLimits(listed: entry, context: ["max_model_len", "context_window", "context_length"], output: ["max_completion_tokens"]) == limits)
    }
}
