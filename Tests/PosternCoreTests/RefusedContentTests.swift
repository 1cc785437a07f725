import ManagedAgentsAPI
import PosternJSON
import PosternTestKit
import Testing

@testable import PosternCore

/// What a model service will not take must not be sent with every later request of the session.
@Suite("Refused content") struct RefusedContentTests {
    private typealias H = MachineHarness

    private static let refusal = ModelError(.requestFailed, "Could not process image", refusesContent: true)
    private static let png = "iVBORw0KGgo="

    private static func image(_ data: String = png, type: String = "image/png") -> JSON {
        ["type": "image", "source": ["type": "base64", "media_type": .string(type), "data": .string(data)]]
    }

    private func texts(_ h: H) -> [String] {
        h.requestMessages.flatMap { $0["content"]?.array ?? [] }.flatMap { [$0] + ($0["content"]?.array ?? []) }.compactMap { $0["text"]?.string }
    }

    @Test("A client's image that was refused is words in the next request; the event keeps it") func message() throws {
        var h = H()
        _ = try h.send(H.message("before"))
        try h.answer([H.text("yes")])
        _ = try h.send(.message(content: [H.text("what is this?"), Self.image()]))
        #expect(try h.fail(Self.refusal).last == "session.status_idle")
        #expect(h.last("session.error")?["error"]?["retry_status"]?["type"] == "exhausted")
        #expect(h.last("user.message")?["content"]?.array?[1] == Self.image())
        _ = try h.send(H.message("and now?"))
        #expect(texts(h).contains("what is this?") && texts(h).contains { $0.contains("an image") && $0.contains("Could not process image") })
        #expect(!h.requestMessages.contains { "\($0.text)".contains(Self.png) })
        #expect(try h.refolded() == h.machine.state)
        #expect(try h.answer([H.text("fine")]).last == "session.status_idle")
    }

    @Test("When there is no image in it, or not only, the whole of it becomes words") func text() throws {
        var h = H()
        _ = try h.send(.message(content: [H.text("poison"), Self.image()]), .systemMessage(content: [H.text("be brief")]))
        _ = try h.fail(Self.refusal)
        _ = try h.send(H.message("second"))
        #expect(texts(h).contains("poison"))
        _ = try h.fail(Self.refusal)
        _ = try h.send(H.message("third"))
        #expect(!texts(h).contains("poison") && !texts(h).contains("second") && texts(h).contains("third"))
        #expect(h.requestMessages.allSatisfy { $0["role"] == "user" })
        #expect(try h.answer([H.text("fine")]).last == "session.status_idle")
        _ = try h.send(H.message("fourth"))
        #expect(texts(h).contains("third"), "what was answered stays")
    }

    @Test("A result that was refused is told as an error, and the turn goes on; at last it is given up") func result() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        try h.answer([H.use("read", "t1"), H.use("bash", "t2")], stop: "tool_use")
        let calls = h.machine.state.calls.map(\.eventID)
        _ = try h.send(
            .toolResult(toolUseID: calls[0], content: [Self.image()], isError: false),
            .toolResult(toolUseID: calls[1], content: [H.text("out")], isError: false))
        #expect(try h.fail(Self.refusal) == ["span.model_request_end", "[postern.withheld]", "session.error", "span.model_request_start"])
        let results = h.requestMessages.last?["content"]?.array ?? []
        #expect(results.map { $0["tool_use_id"]?.string } == ["t1", "t2"] && results.map { $0["is_error"]?.bool } == [true, false])
        #expect(results[1]["content"]?.array == [H.text("out")])
        #expect(h.last("session.error")?["error"]?["retry_status"]?["type"] == "retrying")
        #expect(try h.refolded() == h.machine.state)
        // Not the image alone.
        #expect(try h.fail(Self.refusal).last == "span.model_request_start")
        #expect(!texts(h).contains("out") && h.requestMessages.last?["content"]?.array?.count == 2)
        #expect(try h.fail(Self.refusal).last == "session.status_idle")
        #expect(h.last("session.status_idle")?["stop_reason"]?["type"] == "retries_exhausted")
        #expect(try h.refolded() == h.machine.state)
    }

    @Test(
        "Other failures take nothing away",
        arguments: [
            ModelError(.requestFailed, "no such model"), ModelError(.authentication, "key"), ModelError(.billing, "money"),
        ]) func otherFailures(error: ModelError) throws
    {
        var h = H()
        _ = try h.send(.message(content: [H.text("look"), Self.image()]))
        _ = try h.fail(error)
        _ = try h.send(H.message("again"))
        #expect(h.requestMessages[0]["content"]?.array == [H.text("look"), Self.image()])
    }

    private static let cases: [([JSON], Bool, [JSON])] = [
        ([H.text("a")], false, [H.text("a")]), ([H.text(" \n")], false, []), ([H.text("")], true, [H.text("(no output)")]),
        ([image()], false, [image()]), ([image("/9j/")], false, [image("/9j/", type: "image/jpeg")]),
        ([image("AAAA")], false, [H.text("[The result held an image here whose data is none. It is left out.]")]),
        (
            [["type": "document", "source": ["type": "base64", "media_type": "application/pdf", "data": "iVBORw0KGgo="]]], false,
            [
                H.text("[The result held a document here whose data is none. It is left out.]")
            ]
        ),
        (
            [["type": "image", "source": ["type": "url", "url": "https://x.example"]]], false,
            [
                ["type": "image", "source": ["type": "url", "url": "https://x.example"]]
            ]
        ),
    ]

    @Test("Results are sent without what no service takes", arguments: cases) func resultsThatAreSent(content: [JSON], isError: Bool, sent: [JSON])
        throws
    {
        #expect(SentContent.result(content, isError: isError) == sent)
        var h = H()
        _ = try h.send(H.message("go"))
        try h.answer([H.use("lookup", "t1")], stop: "tool_use")
        _ = try h.send(.customToolResult(toolUseID: h.machine.state.calls[0].eventID, content: content, isError: isError))
        #expect(h.requestMessages.last?["content"]?.array?[0]["content"]?.array == sent)
        #expect(h.last("user.custom_tool_result")?["content"]?.array == content, "the event keeps what it was given")
    }

    @Test("A region that the provider cannot be asked for is refused, in stored agents too") func geo() async throws {
        let store = MemoryStore()
        let params = try AgentParams(["name": "a", "model": ["id": "m", "inference_geo": "us"]])
        let stored = try await AgentService(store: store).create(params, workspaceID: "w")
        let agents = AgentService(store: store, choosesGeo: false)
        await #expect(throws: APIError.self) { try await agents.create(params, workspaceID: "w") }
        await #expect(throws: APIError.self) { try await agents.snapshot(AgentChoice(.string(stored.id), at: WirePath("agent")), workspaceID: "w") }
        let plain = try await agents.create(AgentParams(["name": "b", "model": "m"]), workspaceID: "w")
        await #expect(throws: APIError.self) {
            try await agents.update(plain.id, AgentPatch(["model": ["id": "m", "inference_geo": "us"]]), workspaceID: "w")
        }
    }
}
