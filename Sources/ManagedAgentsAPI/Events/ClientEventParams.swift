import PosternJSON

/// The events of `POST /v1/sessions/{id}/events` and the `initial_events` of a new session (contract section 4.2).
package enum ClientEventParams {
    /// Every type that a client may send, served or not.
    static let types = [
        "user.message", "user.interrupt", "user.tool_confirmation", "user.tool_result", "user.custom_tool_result", "user.define_outcome",
        "system.message",
    ]

    /// - Parameter maximum: Most events that one request may carry.
    package static func send(_ body: JSON, maximum: Int) throws(APIError) -> [ClientEvent] {
        let object = try WireObject(body, at: WirePath(), allowing: ["events"])
        let list = try object.array("events", maximum: maximum) ?? []
        guard !list.isEmpty else { throw .invalid("events: must contain at least 1 item") }
        var events: [ClientEvent] = []
        for (index, json) in list.enumerated() { events.append(try event(json, index, at: WirePath("events").index(index), allowing: types)) }
        try checkPlacement(events)
        return events
    }

    /// At most 50, of `user.message` and `user.define_outcome`.
    static func initial(_ list: [JSON], at path: WirePath) throws(APIError) -> [ClientEvent] {
        var events: [ClientEvent] = []
        for (index, json) in list.enumerated() {
            events.append(try event(json, index, at: path.index(index), allowing: ["user.message", "user.define_outcome"]))
        }
        return events
    }

    private static func event(_ json: JSON, _ index: Int, at path: WirePath, allowing types: [String]) throws(APIError) -> ClientEvent {
        let type = try WireObject.type(of: json, at: path)
        guard types.contains(type) else { throw WireObject.notAChoice(type, at: path.key("type")) }
        let place = path.variant(type.replacing(".", with: "_"))
        switch type {
        case "user.message":
            return .message(content: try content(try WireObject(json, at: place, allowing: ["type", "content"]), .message, isRequired: true))
        case "system.message":
            return .systemMessage(content: try content(try WireObject(json, at: place, allowing: ["type", "content"]), .system, isRequired: true))
        case "user.interrupt":
            let object = try WireObject(json, at: place, allowing: ["type", "session_thread_id"])
            let thread = try object.string("session_thread_id")
            if let thread, !ResourceID.isWellFormed(thread, .thread) { throw .invalid("Invalid thread ID.") }
            return .interrupt(threadID: thread)
        case "user.tool_confirmation": return try confirmation(json, index, at: place)
        case "user.tool_result":
            let object = try WireObject(json, at: place, allowing: ["type", "tool_use_id", "content", "is_error", "session_thread_id"])
            return .toolResult(
                toolUseID: try object.requiredString("tool_use_id", maximum: 256), content: try content(object, .result, isRequired: false),
                isError: try object.bool("is_error") ?? false)
        case "user.custom_tool_result":
            let object = try WireObject(json, at: place, allowing: ["type", "custom_tool_use_id", "content", "is_error", "session_thread_id"])
            return .customToolResult(
                toolUseID: try object.requiredString("custom_tool_use_id", maximum: 256), content: try content(object, .result, isRequired: false),
                isError: try object.bool("is_error") ?? false)
        default: throw Limits.notBuilt(type)
        }
    }

    /// The thread that a confirmation names is not looked at: the server routes by the tool use (observed behaviours, "events: send").
    private static func confirmation(_ json: JSON, _ index: Int, at path: WirePath) throws(APIError) -> ClientEvent {
        let object = try WireObject(json, at: path, allowing: ["type", "tool_use_id", "result", "deny_message", "session_thread_id"])
        let id = try object.requiredString("tool_use_id", maximum: 256)
        _ = try object.required("result")
        let result = try object.choice("result", ["allow", "deny"])
        let message = try object.string("deny_message", maximum: 10_000)
        if message != nil, result != "deny" {
            throw .invalid("Invalid tool_confirmation event at index \(index): deny_message is only allowed when result is 'deny'")
        }
        return .toolConfirmation(toolUseID: id, allow: result == "allow", denyMessage: message)
    }

    private static func content(_ object: WireObject, _ kind: ContentBlocks.Kind, isRequired: Bool) throws(APIError) -> [JSON] {
        if isRequired { _ = try object.required("content") }
        let list = try object.array("content", maximum: ContentBlocks.maximum) ?? []
        let path = object.path.key("content")
        if isRequired, list.isEmpty { throw .invalid("\(path.dotted): must contain at least 1 item") }
        return try ContentBlocks.check(list, kind, at: path)
    }

    /// A `system.message` is the last event and follows the event that it goes with.
    private static func checkPlacement(_ events: [ClientEvent]) throws(APIError) {
        for (index, event) in events.enumerated() {
            guard case .systemMessage = event else { continue }
            let fits =
                switch index > 0 ? events[index - 1] : nil {
                case .message?, .toolResult?, .customToolResult?: index == events.count - 1
                default: false
                }
            guard fits else {
                throw .invalid(
                    "Invalid system.message event at index \(index): it must be the last event of the request and directly follow a user.message, "
                        + "user.tool_result or user.custom_tool_result event")
            }
        }
    }
}
