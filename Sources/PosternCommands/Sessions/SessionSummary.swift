import PosternJSON

/// What a run amounted to, counted from its events.
package struct SessionSummary: Sendable, Equatable {
    package private(set) var modelRequests = 0
    package private(set) var toolCalls = 0
    package private(set) var failedCalls = 0
    package private(set) var inputTokens = 0
    package private(set) var outputTokens = 0
    package private(set) var cacheReadTokens = 0
    /// Bytes of tool results that left the perimeter, as JSON.
    package private(set) var bytesOut = 0
    /// Bytes of tool inputs that entered it, as JSON.
    package private(set) var bytesIn = 0

    package init() {}

    package mutating func consume(_ event: JSON) {
        switch event["type"]?.string {
        case "agent.tool_use", "agent.custom_tool_use":
            toolCalls += 1
            bytesIn += event["input"]?.encoded.count ?? 0
        case "user.tool_result", "user.custom_tool_result":
            bytesOut += event["content"]?.encoded.count ?? 0
            if event["is_error"]?.bool == true { failedCalls += 1 }
        case "span.model_request_end":
            modelRequests += 1
            inputTokens += event.at("model_usage.input_tokens")?.int ?? 0
            inputTokens += event.at("model_usage.cache_creation_input_tokens")?.int ?? 0
            outputTokens += event.at("model_usage.output_tokens")?.int ?? 0
            cacheReadTokens += event.at("model_usage.cache_read_input_tokens")?.int ?? 0
        default: break
        }
    }

    /// - Parameter wall: from the first request to the end.
    package func line(wall: Duration) -> String {
        let failed = failedCalls > 0 ? " (\(failedCalls) failed)" : ""
        let cached = cacheReadTokens > 0 ? " (+ \(cacheReadTokens) from cache)" : ""
        return "\(Self.counted(modelRequests, "turn")) · \(Self.counted(toolCalls, "tool call"))\(failed) · "
            + "\(inputTokens)\(cached) tokens in, \(outputTokens) out · "
            + "\(Self.size(bytesIn)) into the perimeter, \(Self.size(bytesOut)) out · \(Self.seconds(wall))"
    }

    package func json(wall: Duration) -> JSON {
        [
            "turns": JSON(modelRequests), "tool_calls": JSON(toolCalls), "failed_tool_calls": JSON(failedCalls), "input_tokens": JSON(inputTokens),
            "output_tokens": JSON(outputTokens), "cache_read_input_tokens": JSON(cacheReadTokens), "bytes_in": JSON(bytesIn),
            "bytes_out": JSON(bytesOut),
            "wall_seconds": .double((wall / .milliseconds(1)).rounded() / 1000),
        ]
    }

    static func size(_ bytes: Int) -> String {
        switch bytes {
        case ..<1024: "\(bytes) B"
        case ..<(1024 * 1024): "\(decimal(Double(bytes) / 1024)) KiB"
        default: "\(decimal(Double(bytes) / 1024 / 1024)) MiB"
        }
    }

    static func seconds(_ duration: Duration) -> String { "\((duration / .milliseconds(10)).rounded() / 100) s" }

    private static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    private static func decimal(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
