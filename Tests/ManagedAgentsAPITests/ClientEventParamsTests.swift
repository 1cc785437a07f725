import ManagedAgentsAPI
import PosternJSON
import Testing

@Suite struct ClientEventParamsTests {
    static let refusals: [(String, String)] = [
        (#"{"events":[]}"#, "events: must contain at least 1 item"),
        (#"{}"#, "events: must contain at least 1 item"),
        (#"{"events":[{"type":"agent.message"}]}"#, #"Failed to parse request: events[0].type: "agent.message" is not a valid value"#),
        (#"{"events":[{"type":"session.usage"}]}"#, #"Failed to parse request: events[0].type: "session.usage" is not a valid value"#),
        (#"{"events":[{"type":"user.message","content":[{"type":"text","text":""}]}]}"#, "events.0.user_message.content.0.text: value is required"),
        (#"{"events":[{"type":"user.message"}]}"#, "events.0.user_message.content: value is required"),
        (
            #"{"events":[{"type":"user.tool_confirmation","tool_use_id":"x","result":"allow","deny_message":"no"}]}"#,
            "Invalid tool_confirmation event at index 0: deny_message is only allowed when result is 'deny'"
        ),
        (#"{"events":[{"type":"user.interrupt","session_thread_id":"sthr_1"}]}"#, "Invalid thread ID."),
        (
            #"{"events":[{"type":"user.define_outcome","description":"d","rubric":{"type":"text","content":"c"}}]}"#,
            "user.define_outcome is not built yet in this version of Postern."
        ),
        (
            #"{"events":[{"type":"user.message","content":[{"type":"image","source":{"type":"file","file_id":"file_1"}}]}]}"#,
            "A content source of type file is not built yet in this version of Postern."
        ),
        (
            #"{"events":[{"type":"user.message","content":[{"type":"text","text":"a"}],"extra":1}]}"#,
            #"Failed to parse request body: unknown field "extra""#
        ),
    ]

    @Test(arguments: refusals) func refusal(body: String, message: String) throws {
        let json = try JSON(parsing: body)
        let error = #expect(throws: APIError.self) { try ClientEventParams.send(json, maximum: 10) }
        #expect(error?.message == message && error?.status == 400)
    }

    @Test func everyServedTypeIsRead() throws {
        let thread = ResourceID.make(.thread)
        let text: JSON = [["type": "text", "text": "t"]]
        let events = try ClientEventParams.send(
            [
                "events": [
                    ["type": "user.interrupt"], ["type": "user.interrupt", "session_thread_id": .string(thread)],
                    ["type": "user.tool_confirmation", "tool_use_id": "a", "result": "deny", "deny_message": "no", "session_thread_id": "whatever"],
                    ["type": "user.custom_tool_result", "custom_tool_use_id": "c", "content": text],
                    ["type": "user.tool_result", "tool_use_id": "b", "is_error": true], ["type": "system.message", "content": text],
                ]
            ], maximum: 10)
        #expect(
            events == [
                .interrupt(threadID: nil), .interrupt(threadID: thread), .toolConfirmation(toolUseID: "a", allow: false, denyMessage: "no"),
                .customToolResult(toolUseID: "c", content: [["type": "text", "text": "t"]], isError: false),
                .toolResult(toolUseID: "b", content: [], isError: true), .systemMessage(content: [["type": "text", "text": "t"]]),
            ])
    }

    @Test func systemMessageStandsLastAndFollowsItsEvent() {
        let message: JSON = ["type": "user.message", "content": [["type": "text", "text": "t"]]]
        let system: JSON = ["type": "system.message", "content": [["type": "text", "text": "t"]]]
        for events: [JSON] in [
            [system], [system, message], [message, system, message], [message, system, system], [["type": "user.interrupt"], system],
        ] {
            #expect(throws: APIError.self) { try ClientEventParams.send(["events": .array(events)], maximum: 10) }
        }
        #expect(throws: Never.self) { try ClientEventParams.send(["events": [message, system]], maximum: 10) }
    }

    @Test func eventsPerRequestAreBounded() {
        let message: JSON = ["type": "user.message", "content": [["type": "text", "text": "t"]]]
        #expect(throws: APIError.self) { try ClientEventParams.send(["events": .array(Array(repeating: message, count: 11))], maximum: 10) }
    }
}
