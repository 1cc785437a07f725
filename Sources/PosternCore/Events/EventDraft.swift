import ManagedAgentsAPI
import PosternJSON

/// An event on its way into the log: decided, not stored.
struct EventDraft: Sendable, Equatable {
    var id: String
    var view: EventRow.View = .processed
    var type: String
    /// The event's own members.
    var fields: JSONObject
    var processedAt: Timestamp?

    /// The members that every event has beside its own.
    static let envelope = ["id", "type", "processed_at"]

    /// The event as it is stored, listed and streamed. This is the only place where an event is encoded.
    var encoded: [UInt8] {
        var object = JSONObject()
        object["id"] = .string(id)
        object["type"] = .string(type)
        for (key, value) in fields { object[key] = value }
        if view != .hidden { object["processed_at"] = JSON(processedAt?.description) }
        return JSON.object(object).encoded
    }

    func row(sequence: Int) -> EventRow {
        EventRow(sequence: sequence, eventID: id, view: view, type: type, processedAt: processedAt, bytes: encoded)
    }
}

/// Types of the rows that only the engine reads.
enum HiddenEvent {
    /// A model's answer as it came: `content`, `stop_reason`, and `calls`, which maps its tool uses to events.
    static let modelResponse = "postern.model_response"
    /// The service refused what has come since the last answer, for `reason`; from now on it is sent words in its place.
    static let withheld = "postern.withheld"
    /// The service has told its context's size by refusing a request: `tokens`.
    static let contextLimit = "postern.context_limit"
    /// The next model request asks for a summary of the conversation; with `budget`, of a text of it of about so many tokens.
    static let compactionStart = "postern.compaction_start"
    /// The MCP servers of the session's agent are being asked for their tools.
    static let listingStart = "postern.mcp_listing_start"
    /// They have answered, or failed to: `tools` holds the lists of the servers that have others than before. What failed has none.
    static let listing = "postern.mcp_listing"
    /// The conversation so far was replaced by `summary`.
    static let compaction = "postern.compaction"
}
