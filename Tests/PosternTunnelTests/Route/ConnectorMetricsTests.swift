import Foundation
import NIOCore
import PosternAudit
import PosternConnector
import PosternJSON
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire
import Testing

@testable import PosternConnector

/// What is counted is what has happened, and says of nobody who calls, what, or where to.
@Suite("What a connector counts", .timeLimit(.minutes(2)))
struct ConnectorMetricsTests {
    private static let type = "Content-Type: application/json\r\n"

    private static func call(_ tool: String) -> String { #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\#(tool)"}}"# }

    private static func counted(_ world: TunnelWorld) -> (MetricsRegistry, ConnectorMetrics) {
        let registry = MetricsRegistry()
        let metrics = ConnectorMetrics(registry)
        for event in world.log.events { metrics.take(event) }
        return (registry, metrics)
    }

    @Test("calls by outcome, refusals by reason and rule, bytes and times; a call that failed on its way is no refusal")
    func calls() async throws {
        var options = TunnelWorld.Options()
        options.policy = try PolicyDocument.policy(
            "tools: {allow: [read]}\nrules: [{name: few, for: {tools: [read]}, rate: {calls_per_minute: 1, burst: 2}}]")
        options.headers = ["Authorization": "Bearer canary-secret"]
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "canary-client" })
            let answer = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"canary-tool"},{"name":"read"}],"x":"canary-secret"}}"#
            world.answer(json: answer)
            for tool in ["read", "read", "read", "canary-tool"] {
                #expect(try await client.call("POST", "/mcp", body: Self.call(tool), fields: Self.type).status == 200)
            }
            // The second one's connection is no MCP: the upstream breaks off in the middle.
            await #expect(throws: (any Error).self) { try await client.call("GET", "/cut") }
            var other = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.routes = ["other"] })
            #expect(try await other.call("GET", "/canary-path").status == 403)
            other.stream.close()
            await #expect(throws: (any Error).self) {
                var nobody = try await TunnelClient.open(world, .splice, as: .none)
                _ = try await nobody.call("GET", "/")
            }
            await world.log.wait { $0.refusals.contains("no_certificate") && $0.refusals.contains("upstream_answer") }
            let (registry, _) = Self.counted(world)
            let text = registry.rendered()
            for line in [
                #"calls_total{route="docs",outcome="completed"} 2"#, #"calls_total{route="docs",outcome="upstream_answer"} 1"#,
                #"refusals_total{route="docs",reason="policy"} 2"#, #"refusals_total{route="docs",reason="route_not_opened"} 1"#,
                #"refusals_total{route="docs",reason="no_certificate"} 1"#,
                #"policy_refusals_total{route="docs",rule="rules.few.rate",mode="enforce"} 1"#,
                #"policy_refusals_total{route="docs",rule="tools.allow",mode="enforce"} 1"#, #"running_calls{route="docs"} 0"#,
                #"upstream_seconds_count{route="docs"} 3"#, #"hidden_tools_total{route="docs"} 2"#, "legs 2", "leg_starts_total 2",
                #"redactions_total{route="docs",rule="secret Authorization",action="mask"} 2"#,
                #"bytes_total{route="docs",direction="sent"} \#(2 * Self.call("read").utf8.count)"#,
            ] { #expect(text.contains("\npostern_connector_\(line)\n"), "\(line) is not in\n\(text)") }
            #expect(!text.contains("upstream_answer\"} 2") && !text.contains("reason=\"upstream_answer\""))
            for told in ["canary", "127.0.0.1", TunnelWorld.domain, TunnelWorld.tunnelID] { #expect(!text.contains(told), "\(told)") }
            client.stream.close()
        }
    }

    @Test("a policy that only records counts apart, tools that change are counted")
    func dryRun() async throws {
        let pin = ToolDigest(of: ["name": "read"])
        var options = TunnelWorld.Options()
        options.policy = try PolicyDocument.policy("mode: dry_run\ntools: {pins: {read: \"\(pin)\"}}")
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            world.answer(json: #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read","description":"other"}]}}"#)
            #expect(try await client.call("POST", "/mcp", body: Self.call("write"), fields: Self.type).status == 200)
            let text = Self.counted(world).0.rendered()
            #expect(text.contains(#"policy_refusals_total{route="docs",rule="tools.allow",mode="dry_run"} 1"#))
            #expect(text.contains(#"changed_tools_total{route="docs"} 1"#) && !text.contains("refusals_total{route=\"docs\",reason="))
            client.stream.close()
        }
    }

    @Test("days of certificates, legs that are asked for, what the log could not take, and reloads")
    func standing() async throws {
        let world = try await TunnelWorld()
        let connector = try world.makeConnector(edge: 1)
        let (registry, metrics) = Self.counted(world)
        let now = Date()
        metrics.follow(connector, now: { now })
        metrics.audited(.init(time: "", sessionID: nil, kind: .workerStopped(reason: "")), .failed)
        metrics.audited(.init(time: "", sessionID: nil, kind: .workerStopped(reason: "")), .folded)
        metrics.reloaded(.refused)
        metrics.take(.registration(.refusing(.init(.fork, ""))))
        metrics.take(.legRefused(index: 0, LegRefusal(.notEnrolled, ""), seconds: 1))
        let text = registry.rendered()
        for line in [
            "legs_wanted 2", "audit_failures_total 1", #"audit_records_total{kind="worker_stop"} 1"#, #"reloads_total{result="refused"} 1"#,
            "registrations_refuse 1", #"leg_failures_total{reason="not_enrolled"} 1"#,
        ] { #expect(text.contains("\npostern_connector_\(line)\n"), "\(line) is not in\n\(text)") }
        let left = text.split(separator: "\n").first { $0.contains("seconds_left{certificate=\"server\"}") }?.split(separator: " ").last
            .flatMap { Double($0) }
        #expect(abs((left ?? 0) - 90 * 86_400) < 2 * 86_400)
    }
}
