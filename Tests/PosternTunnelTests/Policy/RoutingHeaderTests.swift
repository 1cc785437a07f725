import PosternHTTP
import PosternJSON
import Testing

@testable import PosternConnector

@Suite("Headers beside a body under a policy")
struct RoutingHeaderTests {
    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
    private static let call =
        #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"region":"eu","n":3,"deep":{"x":true},"text":"ü"}}}"#
    private static let batch = "[\(ping),\(ping)]"

    private static func open(seen: Bool = true) throws -> RouteGuard {
        let routeGuard = RouteGuard(try PolicyDocument.policy("methods: {allow: [\"*\"]}\ntools: {allow: [\"*\"]}"))
        guard seen else { return routeGuard }
        let definition = try JSON(
            parsing: #"""
                {"name":"read","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"x-mcp-header":"Count"},
                 "text":{"x-mcp-header":"Text"},"deep":{"type":"object","properties":{"x":{"x-mcp-header":"Deep"}}}}}}
                """#)
        _ = routeGuard.saw([("read", ToolDefinition(definition))])
        return routeGuard
    }

    @Test(
        "that say the same pass",
        arguments: [
            (ping, []), (ping, [("Mcp-Method", "ping")]), (call, [("Mcp-Method", "tools/call"), ("Mcp-Name", "read")]),
            (call, [("Mcp-Name", "=?base64?cmVhZA==?=")]),
            (call, [("Mcp-Param-Region", "eu"), ("mcp-param-count", "3"), ("Mcp-Param-Deep", "true")]),
            (call, [("Mcp-Param-Text", "=?base64?w7w=?=")]), (batch, []), (batch, [("MCP-Protocol-Version", "2025-03-26")]),
            (ping, [("MCP-Protocol-Version", "2026-07-28")]), (ping, [("Content-Type", "Application/JSON; charset=UTF-8")]),
            (ping, [("Content-Encoding", "identity")]),
            (#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#, [("Mcp-Name", "file:///a")]),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
                [("Mcp-Protocol-Version", "2026-07-28")]
            ),
        ] as [(String, [(String, String)])])
    func equal(_ body: String, _ fields: [(String, String)]) throws { #expect(try Self.open().rule(body, fields) == nil) }

    @Test(
        "that say something else, or say it twice, are refused",
        arguments: [
            (ping, [("Mcp-Method", "tools/call")], "headers.equal"), (ping, [("Mcp-Method", "Ping")], "headers.equal"),
            (ping, [("Mcp-Method", "=?base64?cGluZw==?=")], "headers.equal"), (ping, [("Mcp-Name", "read")], "headers.equal"),
            (call, [("Mcp-Name", "write")], "headers.equal"), (call, [("Mcp-Name", "=?base64?d3JpdGU=?=")], "headers.equal"),
            (call, [("Mcp-Name", "=?base64?cmVhZA?=")], "headers.equal"), (call, [("Mcp-Name", "")], "headers.equal"),
            (call, [("Mcp-Method", "tools/call"), ("mcp-method", "tools/call")], "headers.names"),
            (call, [("Mcp_Method", "ping")], "headers.names"), (call, [("Mcp.Name", "x")], "headers.names"),
            (call, [("Content_Encoding", "gzip")], "headers.names"),
            (call, [("Mcp-Param-Region", "us")], "headers.equal"), (call, [("Mcp-Param-Other", "eu")], "headers.equal"),
            (call, [("Mcp-Param-Region", "eu"), ("Mcp-Param-Region", "eu")], "headers.names"), (call, [("Mcp-Param-Count", "3.0")], "headers.equal"),
            (ping, [("Mcp-Param-Region", "eu")], "headers.equal"), (call, [("Mcp-Name", "réad")], "headers.names"),
            (batch, [("Mcp-Method", "ping")], "headers.equal"), (batch, [("MCP-Protocol-Version", "2025-06-18")], "body.batch"),
            (batch, [("MCP-Protocol-Version", "2026-07-28")], "body.batch"), (batch, [("MCP-Protocol-Version", "2024-11-05")], "body.batch"),
            (ping, [("MCP-Protocol-Version", "2027-01-01")], "headers.version"),
            (ping, [("MCP-Protocol-Version", "2025-06-18"), ("MCP-Protocol-Version", "2025-06-18")], "headers.names"),
            (ping, [("Mcp-Session-Id", "a"), ("Mcp-Session-Id", "b")], "headers.names"),
            (ping, [("X-HTTP-Method-Override", "DELETE")], "headers.names"),
            (ping, [("Content-Encoding", "gzip")], "body.encoding"), (ping, [("Content-Encoding", "identity, br")], "body.encoding"),
            (ping, [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], "body.encoding"),
            (ping, [("Content-Type", "text/plain")], "body.type"),
            (ping, [("Content-Type", "application/json; charset=utf-16")], "body.type"), (ping, [("Content-Type", "application/jsonx")], "body.type"),
            (ping, [("Content-Type", "application/json"), ("Content-Type", "application/json")], "body.type"),
            (ping, [("Content-Type", "application/json; charset=utf-8; charset=utf-7")], "body.type"),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-06-18"}}}"#,
                [("Mcp-Protocol-Version", "2026-07-28")], "headers.equal"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#, [],
                "headers.equal"
            ),
        ] as [(String, [(String, String)], String)])
    func unequal(_ body: String, _ fields: [(String, String)], _ rule: String) throws { #expect(try Self.open().rule(body, fields) == rule) }

    @Test("of arguments count only where the tool's definition was seen")
    func unseen() throws {
        #expect(try Self.open(seen: false).rule(Self.call, [("Mcp-Param-Region", "eu")]) == "headers.parameters")
    }

    @Test("a body without its media type is refused")
    func untyped() throws {
        #expect(try Self.open().judge(Array(Self.ping.utf8), HTTPFields(), from: PolicyDocument.identity(), now: 0).refusal?.rule == "body.type")
    }
}
