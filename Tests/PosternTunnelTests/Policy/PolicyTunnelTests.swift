import NIOCore
import PosternHTTP
import PosternJSON
import PosternTunnelLink
import Synchronization
import Testing

@testable import PosternConnector

/// A policy at work in a real connector, behind a real edge.
@Suite("Policies, end to end", .timeLimit(.minutes(2)))
struct PolicyTunnelTests {
    private static let type = "Content-Type: application/json\r\n"

    private static func run(_ policy: String, _ body: @escaping @Sendable (TunnelWorld) async throws -> Void) async throws {
        var options = TunnelWorld.Options()
        options.policy = try PolicyDocument.policy(policy)
        try await TunnelWorld.run(options) { world in
            world.answer(json: #"{"jsonrpc":"2.0","id":1,"result":{}}"#)
            try await body(world)
        }
    }

    private static func call(_ tool: String, id: Int = 1) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"\#(tool)"}}"#
    }

    @Test("what was judged is what is sent, byte for byte, by its length and in chunks")
    func bytes() async throws {
        try await Self.run("tools: {allow: [read]}") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            let text =
                " {\"params\" :{\"name\":\"re\\u0061d\",\"arguments\":{\"x\":1.50,\"y\":\"\\/é\"}},\r\n\t\"method\":\"tools\\/call\",\"id\":1,\"jsonrpc\":\"2.0\"} \n"
            let first = try await client.call("POST", "/mcp", body: text, fields: Self.type)
            #expect(first.status == 200 && first.body == #"{"jsonrpc":"2.0","id":1,"result":{}}"#)
            var chunks =
                "POST /mcp HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\(Self.type)Accept-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
            for byte in text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map({ Array($0) }) {
                chunks += "\(String(byte.count, radix: 16))\r\n\(String(decoding: byte, as: UTF8.self))\r\n1\r\n.\r\n"
            }
            chunks.removeLast("1\r\n.\r\n".count)
            try await client.send(chunks + "0\r\n\r\n")
            #expect(try await client.answer().status == 200)
            #expect(world.upstream.now.messages == [text, text])
            #expect(world.upstream.now.heads.allSatisfy { $0.contains("Accept-Encoding: identity") && !$0.contains("gzip") })
        }
    }

    @Test("a refused message never reaches the upstream, is answered with its id, and the connection carries more")
    func refused() async throws {
        try await Self.run("tools: {allow: [read]}") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            let refused = try await client.call("POST", "/mcp", body: Self.call("write", id: 41), fields: Self.type)
            let json = try JSON(parsing: refused.body)
            #expect(refused.status == 200 && json["id"] == 41 && json["error"]?["data"]?["rule"] == "tools.allow")
            #expect(refused.head.fields.named("postern-answer-by").map(\.text) == ["connector"])
            #expect(try await client.call("POST", "/mcp", body: "{", fields: Self.type).status == 400)
            #expect(try await client.call("POST", "/mcp", body: Self.call("read"), fields: Self.type + "Content-Encoding: gzip\r\n").status == 415)
            #expect(try await client.call("POST", "/mcp", body: Self.call("read"), fields: Self.type + "Mcp-Name: write\r\n").status == 400)
            #expect(try await client.call("PUT", "/mcp", body: Self.call("read"), fields: Self.type).status == 405)
            #expect(try await client.call("GET", "/mcp", body: Self.call("write"), fields: Self.type).status == 400)
            #expect(world.upstream.now.connections == 0)
            #expect(try await client.call("POST", "/mcp", body: Self.call("read"), fields: Self.type).status == 200)
            #expect(world.upstream.now.messages == [Self.call("read")])
            #expect(world.log.refusals == Array(repeating: "policy", count: 6))
        }
    }

    @Test("a body over the bound is refused as soon as that is known, also where its length is not told")
    func tooLarge() async throws {
        try await Self.run("max_body_bytes: 1024") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            let start = "POST /mcp HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\(Self.type)"
            try await client.send(start + "Content-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
            let answer = try await client.answer()
            #expect(answer.status == 413 && answer.head.fields.named("connection").map(\.text) == ["close"])
            var second = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await second.send(start + "Transfer-Encoding: chunked\r\n\r\n401\r\n" + String(repeating: " ", count: 0x401))
            #expect(try await second.answer().status == 413)
            second.stream.close()
            #expect(world.upstream.now.connections == 0)
        }
    }

    @Test("a caller that waits to be asked for its body is asked before it is judged")
    func expectation() async throws {
        try await Self.run("mode: enforce") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
            try await client.send(
                "POST /mcp HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\(Self.type)Content-Length: \(ping.utf8.count)\r\nExpect: 100-continue\r\n\r\n"
            )
            #expect(try await client.head()?.status == 100)
            #expect(world.upstream.now.connections == 0)
            try await client.send(ping)
            #expect(try await client.answer().status == 200)
        }
    }

    private static let list = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read","description":"Reads."},{"name":"write"}]}}"#
    private static let ask = #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#

    @Test("tools that a caller may not call are in no list, in JSON and in event streams")
    func lists() async throws {
        try await Self.run("tools: {allow: [read]}") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            let shown = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read","description":"Reads."}]}}"#
            world.answer(json: Self.list)
            #expect(try await client.call("POST", "/mcp", body: Self.ask, fields: Self.type).body == shown)
            world.answer(events: "event: message\ndata: \(Self.list)\n\n")
            #expect(try await client.call("POST", "/mcp", body: Self.ask, fields: Self.type).body == "event: message\ndata: \(shown)\n\n")
            // A stream that is opened or taken up again carries answers too.
            #expect(try await client.call("GET", "/mcp").body == "event: message\ndata: \(shown)\n\n")
        }
    }

    @Test("an answer that cannot be read is not passed on")
    func unreadable() async throws {
        try await Self.run("tools: {allow: [read]}") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            world.answer(json: Self.list, fields: "Content-Encoding: gzip\r\n")
            let answer = try await client.call("POST", "/mcp", body: Self.ask, fields: Self.type)
            #expect(answer.status == 502 && !answer.body.contains("write"))
        }
    }

    @Test("a tool whose definition changes after it was pinned is neither listed nor called")
    func pins() async throws {
        let pin = ToolDigest(of: ["name": "read", "description": "Reads."])
        try await Self.run("tools: {pins: {read: \"\(pin)\"}}") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            #expect(try await client.call("POST", "/mcp", body: Self.call("read"), fields: Self.type).body.contains("send tools/list"))
            world.answer(json: Self.list)
            #expect(try await client.call("POST", "/mcp", body: Self.ask, fields: Self.type).body.contains("Reads."))
            world.answer(json: #"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#)
            #expect(try await client.call("POST", "/mcp", body: Self.call("read"), fields: Self.type).body.contains("content"))
            world.answer(json: Self.list.replacing("Reads.", with: "Reads and sends."))
            #expect(try await !client.call("POST", "/mcp", body: Self.ask, fields: Self.type).body.contains("sends"))
            #expect(try await client.call("POST", "/mcp", body: Self.call("read"), fields: Self.type).body.contains("has changed"))
            #expect(world.upstream.now.messages.filter { $0.contains("tools/call") }.count == 1)
            #expect(world.log.events.contains { if case .toolChanged("docs", "read") = $0 { true } else { false } })
        }
    }

    @Test("a policy that only records lets everything through, large bodies too, and says what it would have refused")
    func dryRun() async throws {
        try await Self.run("mode: dry_run\nmax_body_bytes: 1024\ntools: {allow: [read]}") { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            defer { client.stream.close() }
            world.answer(json: Self.list)
            #expect(try await client.call("POST", "/mcp", body: Self.ask, fields: Self.type).body == Self.list)
            let bodies = [Self.call("write"), "{", String(repeating: "x", count: 300_000)]
            for body in bodies {
                #expect(try await client.call("POST", "/mcp", body: body, fields: Self.type + "Expect: 100-continue\r\n").status == 100)
                #expect(try await client.answer().status == 200)
            }
            #expect(world.upstream.now.messages == [Self.ask] + bodies)
            let rules = world.log.events.compactMap { if case .wouldRefuse("docs", let refusal) = $0 { refusal.rule } else { nil } }
            #expect(rules == ["tools.allow", "body.json", "max_body_bytes"])
            // What comes back as well, though it cannot be read.
            for (text, type) in [("no JSON", "application/json"), ("a page", "text/html")] {
                world.upstream.mcp.withLock { $0 = "HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)" }
                #expect(try await client.call("POST", "/mcp", body: Self.ask, fields: Self.type).body == text)
            }
        }
    }

    @Test("a route without a policy passes bodies unread")
    func without() async throws {
        try await TunnelWorld.run { world in
            world.answer(json: Self.list)
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await client.call("POST", "/mcp", body: "{").body == Self.list)
            #expect(world.upstream.now.messages == ["{"])
            client.stream.close()
        }
    }
}

extension TunnelWorld {
    func answer(json: String, fields: String = "") {
        upstream.mcp.withLock {
            $0 = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\(fields)Content-Length: \(json.utf8.count)\r\n\r\n\(json)"
        }
    }

    func answer(events: String) {
        upstream.mcp.withLock { $0 = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: \(events.utf8.count)\r\n\r\n\(events)" }
    }
}
