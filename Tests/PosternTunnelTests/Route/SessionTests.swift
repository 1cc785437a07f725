import Crypto
import NIOCore
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import Testing

@testable import PosternConnector

/// An id of a session, or of an event, is nothing in the hands of another caller.
@Suite("Sessions and callers", .timeLimit(.minutes(2)))
struct SessionTests {
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s-1\r\nContent-Length: 2\r\n\r\n{}"

    private static func open(_ world: TunnelWorld, _ name: String, host: String = "docs") async throws -> TunnelClient {
        try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = name }, host: "\(host).\(TunnelWorld.domain)")
    }

    private static func session(_ answer: TunnelClient.Answer) throws -> String {
        let ids = answer.head.fields.named("mcp-session-id")
        try #require(ids.count == 1)
        return ids[0].text
    }

    @Test("an id goes back to its server from its caller alone, on its route alone, and to another one it is unknown")
    func replay() async throws {
        try await TunnelWorld.run { world in
            world.upstream.mcp.withLock { $0 = Self.answer }
            var good = try await Self.open(world, "good")
            let id = try Self.session(try await good.call("POST", "/mcp", body: "{}"))
            #expect(id.hasPrefix("s-1.") && id.count == 36)
            #expect(try await good.call("POST", "/mcp", body: "{}", fields: "Mcp-Session-Id: \(id)\r\n").status == 200)
            let seen = try #require(world.upstream.now.heads.last)
            #expect(seen.split(separator: "\n").contains("Mcp-Session-Id: s-1"))
            // Its next certificate is the same caller.
            var renewed = try await Self.open(world, "good")
            #expect(try await renewed.call("DELETE", "/mcp", fields: "Mcp-Session-Id: \(id)\r\n").status == 200)
            let asked = world.upstream.now.heads.count
            let flipped = String(id.dropLast()) + (id.hasSuffix("0") ? "1" : "0")
            for (name, host, fields, status) in [
                ("bad", "docs", "Mcp-Session-Id: \(id)\r\n", 404), ("good", "other", "Mcp-Session-Id: \(id)\r\n", 404),
                ("good", "docs", "Mcp-Session-Id: s-1\r\n", 404), ("good", "docs", "Mcp-Session-Id: \(flipped)\r\n", 404),
                ("good", "docs", "Mcp-Session-Id: s-2\(id.dropFirst(3))\r\n", 404), ("good", "docs", "Mcp-Session-Id: \r\n", 404),
                ("good", "docs", "Mcp-Session-Id: \(id)\r\nMcp-Session-Id: \(id)\r\n", 400), ("bad", "docs", "Mcp_Session_Id: s-1\r\n", 400),
            ] {
                var client = try await Self.open(world, name, host: host)
                let refused = try await client.call("POST", "/mcp", body: "{}", host: "\(host).\(TunnelWorld.domain)", fields: fields)
                #expect(refused.status == status, "\(name) \(host) \(fields)")
                if status == 404 { #expect(refused.body.contains("unknown_session")) }
            }
            #expect(world.upstream.now.heads.count == asked)
        }
    }

    @Test("a stream is resumed by ids that the caller was shown, in the session that it was shown them in")
    func events() async throws {
        try await TunnelWorld.run { world in
            func serve(session: String, _ events: String) {
                world.upstream.mcp.withLock {
                    $0 =
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: \(session)\r\nContent-Length: \(events.utf8.count)\r\n\r\n\(events)"
                }
            }
            serve(session: "a", "id: e-1\ndata: {}\n\nid:e-2\r\ndata: {}\r\n\r\n")
            var good = try await Self.open(world, "good")
            let first = try await good.call("POST", "/mcp", body: "{}")
            #expect(first.body.contains("id: e-1"))
            let id = try Self.session(first)
            for event in ["e-1", "e-2"] {
                #expect(try await good.call("GET", "/mcp", fields: "Mcp-Session-Id: \(id)\r\nLast-Event-ID: \(event)\r\n").status == 200)
            }
            serve(session: "b", "id: e-9\ndata: {}\n\n")
            var bad = try await Self.open(world, "bad")
            let own = try Self.session(try await bad.call("POST", "/mcp", body: "{}"))
            let asked = world.upstream.now.heads.count
            for fields in [
                "Mcp-Session-Id: \(own)\r\nLast-Event-ID: e-1\r\n", "Last-Event-ID: e-1\r\n", "Last-Event-ID: e-9\r\n",
                "Mcp-Session-Id: \(own)\r\nLast_Event_ID: e-9\r\n", "Mcp-Session-Id: \(own)\r\nLast-Event-ID: e-9\r\nLast-Event-ID: e-1\r\n",
            ] {
                var client = try await Self.open(world, "bad")
                #expect([400, 404].contains(try await client.call("GET", "/mcp", fields: fields).status), "\(fields)")
            }
            #expect(world.upstream.now.heads.count == asked)
            #expect(try await bad.call("GET", "/mcp", fields: "Mcp-Session-Id: \(own)\r\nLast-Event-ID: e-9\r\n").status == 200)
        }
    }

    @Test("an id counts after a restart, since nothing is kept of it, and under another key it does not")
    func tags() throws {
        let identity = RuntimeIdentity(tunnelID: "tnl_1", workspaceID: "wrkspc_1", client: "a")
        func tags(_ byte: UInt8, _ route: String = "docs") -> SessionTags {
            SessionTags(key: SymmetricKey(data: [UInt8](repeating: byte, count: 32)), route: route, events: EventMemory())
        }
        let id = tags(1).tagged(Array("s.1".utf8), for: CallerSubject(identity))
        #expect(tags(1).id(of: id, from: CallerSubject(identity)) == Array("s.1".utf8))
        #expect(tags(2).id(of: id, from: CallerSubject(identity)) == nil)
        #expect(tags(1, "other").id(of: id, from: CallerSubject(identity)) == nil)
        for change: (inout RuntimeIdentity) -> Void in [
            { $0.client = "b" }, { $0.client = nil }, { $0.person = "a" }, { $0.sessionID = "a" }, { $0.agentID = "a" }, { $0.workspaceID = "w" },
            { ($0.client, $0.person) = (nil, "a") },
        ] {
            var other = identity
            change(&other)
            #expect(tags(1).id(of: id, from: CallerSubject(other)) == nil)
        }
    }

    @Test("what is remembered of events is bounded")
    func memory() {
        let memory = EventMemory()
        let caller = CallerSubject(RuntimeIdentity(tunnelID: "t", workspaceID: "w"))
        func id(_ number: Int) -> [UInt8] { Array("e\(number)".utf8) }
        memory.saw((0...EventMemory.mostIDs).map(id), caller: caller, session: nil)
        #expect(!memory.knows(id(0), caller: caller, session: nil) && memory.knows(id(1), caller: caller, session: nil))
        for number in 0..<EventMemory.mostSessions { memory.saw([id(1)], caller: caller, session: id(number)) }
        #expect(!memory.knows(id(1), caller: caller, session: nil) && memory.knows(id(1), caller: caller, session: id(0)))
    }

    @Test("ids of events are found however the stream is cut, and at every end of a line")
    func scanner() {
        let text = "\u{FEFF}id: 1\ndata: id: no\r\nid:2\rid: \(String(repeating: "x", count: 2000))\nidx: 3\nid:  4\n\nid: 5"
        for size in [1, 2, 7, 10_000] {
            var scanner = EventIDScanner()
            var ids: [String] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                ids += scanner.feed(rest.prefix(size)).map { String(decoding: $0, as: UTF8.self) }
                rest = rest.dropFirst(size)
            }
            #expect(ids == ["1", "2", " 4"])
        }
    }
}
