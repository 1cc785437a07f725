import Foundation
import ManagedAgentsAPI
import PosternHTTP
import PosternJSON
import PosternPolicy
import PosternTunnelWire

@testable import PosternConnector

/// What a route's policy reads: JSON-RPC of callers, and answers of upstreams.
extension FuzzTarget {
    private static let policy: RoutePolicy? = {
        let text = """
            tunnel: {id: tnl_1, workspace_id: wrkspc_1, domain: ab12cd34.tunnel.example.com}
            edges: {addresses: [edge.example.com], name: tunnel.example.com}
            identity: {key_file: connector.key, certificate_file: connector.pem}
            server_certificate: {certificate_file: server.pem, key_file: server.key}
            runtime_authority: {certificate_file: runtime-ca.pem}
            routes:
              docs:
                upstream: http://10.0.0.7:8080
                policy:
                  tools: {allow: ["read_*", search], deny: ["*_secret"]}
                  methods: {deny: [ping]}
            """
        return try? ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "host").routes["docs"]?.policy
    }()
    private static let identity = RuntimeIdentity(tunnelID: "tnl_1", workspaceID: "wrkspc_1", client: "laptop")

    static func allows(_ tool: String) -> Bool { (tool.hasPrefix("read_") || tool == "search") && !tool.lowercased().hasSuffix("_secret") }

    /// Judged by the policy, and read by Foundation as a server might.
    static let jsonRPC = FuzzTarget(
        "json-rpc",
        seeds: [
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/data/a.csv"}}}"#,
            #"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"read_secret","_meta":{"progressToken":1}}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"é\u00e9\ud83d\ude00"}}"#,
            #"[{"jsonrpc":"2.0","id":1,"method":"tools/list"},{"jsonrpc":"2.0","id":1,"result":{}}]"#,
            #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, #"{"jsonrpc":"2.0","id":1e0,"method":"ping","METHOD":"tools/call"}"#,
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","name":"rm"}}"#,
        ].map { Array($0.utf8) }
    ) { bytes in
        guard let policy else { throw FuzzFailure(description: "the target's own policy is refused") }
        var fields = HTTPFields()
        fields.append("Content-Type", "application/json")
        let judgement = RouteGuard(policy).judge(bytes, fields, from: identity, now: 0)
        guard judgement.refusal == nil else { return }
        guard let read = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed) else {
            throw FuzzFailure(description: "what the policy lets through is no JSON for Foundation")
        }
        let messages = read as? [Any] ?? [read]
        try hold(messages.count == judgement.body?.messages.count, "Foundation reads another number of messages")
        for (message, judged) in zip(messages, judgement.body?.messages ?? []) {
            let object = message as? [String: Any] ?? [:]
            let method = object["method"] as? String ?? ""
            try hold(method == judged.method, "Foundation reads the method \(method) where the policy read \(judged.method)")
            try hold(method != "ping", "a denied method passes")
            guard method == "tools/call" else { continue }
            let tool = (object["params"] as? [String: Any])?["name"] as? String ?? ""
            try hold(tool == judged.tool && allows(tool), "the tool \(tool) passes, read as \(judged.tool ?? "none")")
        }
    }

    private static let streams = [
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"rm\"},{\"name\":\"search\"}]}}\n\n",
        ": comment\r\nid: 7\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":1,\"result\":{}}\r\n\r\n",
        "data\n\ndata: x\r\rretry: 10\n\n",
        "\u{FEFF}data: a\u{2028}data: b\n\n", "event: endpoint\ndata: /messages\n\n",
    ].map { Array($0.utf8) }

    static let eventStream = FuzzTarget("event-stream", seeds: streams) { bytes in
        guard let policy else { throw FuzzFailure(description: "the target's own policy is refused") }
        let (whole, pieces) = (events([bytes[...]]), events(bytes.pieces))
        try hold(whole == pieces, "an event stream is cut otherwise in pieces")
        guard case .success(let events) = whole else { return }
        let joined = events.flatMap(\.bytes)
        try hold(bytes.starts(with: joined), "the events are not what came")
        let screen = AnswerScreen(policy: policy, identity: identity)
        var sent: [UInt8] = []
        for event in events {
            guard let screened = try? screen.screen(event) else { return }
            sent += screened.bytes ?? event.bytes
        }
        // A client's reader finds no tool in what is passed on that its caller may not call.
        var parser = ServerSentEventParser(limit: 1 << 20)
        for event in (try? parser.parse(sent)) ?? [] {
            guard let object = try? JSONSerialization.jsonObject(with: Data(event.data), options: .fragmentsAllowed) else { continue }
            for message in object as? [Any] ?? [object] {
                let result = (message as? [String: Any])?["result"] as? [String: Any]
                for tool in result?["tools"] as? [Any] ?? [] {
                    let name = (tool as? [String: Any])?["name"] as? String ?? ""
                    try hold(allows(name), "the tool \(name) is shown")
                }
            }
        }
    }

    /// Their events and what is left over, or why they are none.
    private static func events(_ pieces: [ArraySlice<UInt8>]) -> Result<[EventStream.Event], EventStream.Problem> {
        var stream = EventStream(limit: 1 << 16)
        var events: [EventStream.Event] = []
        do throws(EventStream.Problem) {
            for piece in pieces {
                for event in try stream.feed(piece) {
                    // The line feed of a CRLF that came apart from its CR.
                    if event.bytes == [0x0A], event.data == nil, !events.isEmpty {
                        events[events.count - 1].bytes.append(0x0A)
                    } else {
                        events.append(event)
                    }
                }
            }
            return .success(events)
        } catch {
            return .failure(error)
        }
    }

    static let serverSentEvents = FuzzTarget("server-sent-events", seeds: streams) { bytes in
        func read(_ pieces: [ArraySlice<UInt8>]) -> [ServerSentEvent]? {
            var parser = ServerSentEventParser(limit: 1 << 16)
            var events: [ServerSentEvent] = []
            for piece in pieces {
                guard let more = try? parser.parse(piece) else { return nil }
                events += more
            }
            return events
        }
        try hold(read([bytes[...]]) == read(bytes.pieces), "server-sent events are read otherwise in pieces")
    }
}
