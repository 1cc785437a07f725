import PosternCore
import PosternJSON
import PosternMCP
import Testing

@testable import PosternRuntime

/// Results and failures of servers in the contract's words, and their bounds.
@Suite struct ServerAnswersTests {
    private func result(_ content: JSON, structured: JSON? = nil, isError: Bool = false) throws -> MCPCallResult {
        var result: JSONObject = ["content": content, "isError": .bool(isError)]
        if let structured { result["structuredContent"] = structured }
        return ServerAnswers.result(try ToolResult(result))
    }

    private func text(_ text: String) -> JSON { ["type": "text", "text": .string(text)] }

    @Test func textAndMediaBecomeBlocksOfTheContract() throws {
        let made = try result([
            text("a"), ["type": "image", "data": "aGk=", "mimeType": "image/png"], ["type": "audio", "data": "aGk=", "mimeType": "audio/wav"],
            ["type": "resource", "resource": ["uri": "file:///a", "text": "inside"]],
            ["type": "resource", "resource": ["uri": "file:///p", "mimeType": "application/pdf", "blob": "aGk="]],
            ["type": "resource", "resource": ["uri": "file:///z", "mimeType": "application/zip", "blob": "aGk="]],
            ["type": "resource_link", "uri": "file:///l", "name": "l"],
        ])
        #expect(
            made.content.prefix(2) == [
                text("a"), ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "aGk="]],
            ])
        #expect(made.content[3] == text("inside"))
        #expect(made.content[4]["type"] == "document")
        for index in [2, 5, 6] { #expect(made.content[index]["type"] == "text", "\(made.content[index])") }
        #expect(!made.isError && made.content.count == 7)
        #expect(try result([], structured: ["n": 1]).content == [text("{\"n\":1}")])
        #expect(try result([text("{}")], structured: [:], isError: true) == MCPCallResult(content: [text("{}")], isError: true))
    }

    @Test func anAnswerThatDoesNotSayWhatItDidLeavesTheOutcomeUnknown() {
        for error in [MCPError.status(504, "gateway"), .malformed("no content"), .tooLarge("the answer", limit: 8)] {
            guard case .outcomeUnknown = ServerAnswers.ofCall(error) else {
                Issue.record("\(error) is told as \(ServerAnswers.ofCall(error))")
                continue
            }
        }
        for error in [MCPError.unreachable("x"), .cancelled, .server(RPCError(code: -32602, message: "no"))] {
            #expect(ServerAnswers.ofCall(error) == error)
        }
    }

    @Test func onlyAToolThatAConnectorHasNotSeenIsListedAgain() {
        func refusal(_ rule: JSON, reason: JSON = "policy") -> MCPError {
            .server(RPCError(code: 403, message: "refused", data: ["reason": reason, "rule": rule]))
        }
        #expect(ServerAnswers.wantsListing(refusal("tools.pins")))
        for other in [refusal("tools.deny"), refusal("tools.pins", reason: "x"), .server(RPCError(code: 403, message: "tools.pins")), .cancelled] {
            #expect(!ServerAnswers.wantsListing(other))
        }
    }

    @Test func whatIsTooMuchIsCutAndSaysSo() throws {
        let half = String(repeating: "ü", count: ServerAnswers.mostText / 2 + 1)
        let made = try result([text(half), text(half), text("behind")])
        let lengths = made.content.map { $0["text"]?.string?.unicodeScalars.count ?? 0 }
        #expect(lengths[0] + lengths[1] == ServerAnswers.mostText && made.content.count == 3)
        #expect(made.content[2]["text"]?.string?.contains("8 more characters were cut") == true)
        let large: JSON = ["type": "image", "data": .string(String(repeating: "a", count: ServerAnswers.mostMedia + 1)), "mimeType": "image/png"]
        #expect(try result([large]).content[0]["type"] == "text")
        let small: JSON = ["type": "image", "data": "aGk=", "mimeType": "image/png"]
        let many = try result(.array(Array(repeating: small, count: ServerAnswers.mostMediaPieces + 2)))
        #expect(many.content.count { $0["type"] == "image" } == ServerAnswers.mostMediaPieces)
    }

    @Test func failuresAreToldApart() {
        let server = MCPServer(name: "docs", url: "https://docs.example/mcp")
        for (error, kind, words): (MCPError, MCPFailure.Kind, String) in [
            (.unauthorized(nil, hasToken: false), .authentication, "headers"), (.unreachable("no"), .connection, "no"),
            (.connector(reason: "caller_not_allowed", "not you"), .connection, "caller_not_allowed"),
            (.connector(reason: "policy", "not this"), .call, "not this"), (.outcomeUnknown("it broke"), .call, "not repeated"),
            (.timedOut(method: "tools/call", seconds: 9, hasProgress: false), .call, "unknown"),
            (.timedOut(method: "tools/list", seconds: 9, hasProgress: false), .connection, "within 9 s"), (.status(403, "no"), .connection, "403"),
            (.malformed("bad"), .call, "bad"), (.refused("no certificate"), .connection, "no certificate"),
        ] {
            let failure = ServerAnswers.failure(error, of: server)
            #expect(failure.kind == kind && failure.message.contains(words) && failure.message.contains("docs"), "\(failure)")
        }
        let long = ServerAnswers.failure(.malformed(String(repeating: "ü", count: 1 << 20)), of: server)
        #expect(long.message.unicodeScalars.count == ServerAnswers.longestFailure)
    }
}
