import CPosternSandbox
import Foundation
import PosternJSON
import PosternPolicy
import PosternSandboxWire
import Testing

@testable import PosternEgress

@Suite("The control socket of the egress proxy", .timeLimit(.minutes(1)))
struct ControlMessageTests {
    private func pair() throws -> (Int32, Int32) {
        var pair: [Int32] = [0, 0]
        try #require(psb_socket_pair(&pair) == 0)
        return (pair[0], pair[1])
    }

    private func configuration(session: String = "s") throws -> EgressConfiguration {
        var random = SystemRandomNumberGenerator()
        let policy = try NetworkPolicy(
            json: try JSON(parsing: #"{"rules":[{"id":"a","hosts":["*.a.com"],"methods":["GET"]}],"addresses":["10.0.0.0/8"]}"#))
        var configuration = EgressConfiguration(session: session, token: ProxyToken(using: &random), policy: policy)
        let value = SecretValue("Secret0123456789")
        let placeholder = try #require(Placeholder.make(for: value, using: &random))
        configuration.secrets = [
            try #require(BoundSecret(binding: SecretBinding(name: "k", hosts: [try HostPattern("x.a.com")]), value: value, placeholder: placeholder))
        ]
        configuration.parentProxy = try Authority("proxy.corp:3128")
        configuration.parentCredential = SecretValue("user:password")
        configuration.extraRoots = "PEM"
        configuration.used = BytesUsed(day: 7, session: 9)
        configuration.used.hosts = [try CanonicalHost("a.com"): 5, try CanonicalHost("::1"): 1]
        configuration.used.otherHosts = 3
        configuration.limits.connections = 9
        return configuration
    }

    @Test("a configuration says the same after its JSON, and prints no secret")
    func configurationRoundTrip() throws {
        let one = try configuration()
        let other = try EgressConfiguration(json: try JSON(parsing: one.json.encoded))
        #expect(other.json == one.json && other.limits == one.limits && other.policy == one.policy)
        let printed = "\(one) \(one.secrets) \(String(reflecting: one.secrets[0].value))"
        #expect(!printed.contains("Secret0123456789") && !printed.contains(one.token.text) && !printed.contains("user:password"))
    }

    @Test("secrets that cannot be masked apart are refused, and the error names no value")
    func refusedSecrets() throws {
        var one = try configuration()
        let longer = SecretValue("xxSecret0123456789")
        var random = SystemRandomNumberGenerator()
        let placeholder = try #require(Placeholder.make(for: longer, using: &random))
        one.secrets.append(
            try #require(BoundSecret(binding: SecretBinding(name: "l", hosts: [try HostPattern("y.com")]), value: longer, placeholder: placeholder)))
        let error = #expect(throws: PolicyValueError.self) { _ = try EgressConfiguration(json: one.json) }
        #expect(error?.description.contains("Secret0123456789") == false)
        let binding = SecretBinding(name: "k", hosts: [])
        #expect(BoundSecret(binding: binding, value: SecretValue("Secret0123456789"), placeholder: "Secret0123456789") == nil)
        #expect(BoundSecret(binding: binding, value: SecretValue("Secret0123456789"), placeholder: "short") == nil)
        #expect(BoundSecret(binding: binding, value: SecretValue("Secret0123456789"), placeholder: "Secret01234567-9") == nil)
    }

    @Test("reports say the same after their JSON")
    func reports() throws {
        let destination = try Authority("a.com:443")
        let reports: [EgressReport] = [
            .ready(session: "s", certificate: "PEM"),
            .intent(
                id: 3, session: "s",
                EgressIntent(
                    kind: .https, destination: destination, address: IPAddress("1.2.3.4"), rule: "r", method: "GET", path: "/", policyDigest: "d")),
            .spent(session: "s", try CanonicalHost("a.com"), 12),
            .outcome(id: 3, session: "s", EgressOutcome(status: 200, sent: 1, received: 2, milliseconds: 3, failure: "x")),
            .refusal(
                id: 4, session: "s",
                EgressRefusal(kind: .secret, destination: destination, rule: "r", reason: "why", remedy: "how", secret: "k")),
            .secretUsed(id: 5, session: "s", call: 3, names: ["k"], destination: destination), .masked(session: "s", call: 3, counts: ["k": 2]),
            .ask(id: 6, session: "s", EgressAsk(budget: "day", destination: destination, limit: 5, used: 4)), .failure(session: "s", reason: "x"),
        ]
        for report in reports { #expect(try EgressReport(json: try JSON(parsing: report.json.encoded)) == report) }
        #expect(throws: PolicyValueError.self) { _ = try EgressReport(json: ["type": "root shell"]) }
    }

    @Test("many large messages and descriptors pass in order, however slowly they are read")
    func traffic() async throws {
        let (one, other) = try pair()
        let (sender, receiver) = (ControlSocket(descriptor: one), ControlSocket(descriptor: other))
        let text = String(repeating: "x", count: 100_000)
        for index in 0..<50 {
            let descriptors = index % 10 == 0 ? [psb_memory_file("test")] : []
            sender.send(ControlMessage(["n": JSON(index), "text": .string(text)], descriptors: descriptors))
        }
        var next = 0
        for await message in receiver.messages {
            #expect(message.body["n"]?.int == next && message.body["text"]?.string == text)
            #expect(message.descriptors.count == (next % 10 == 0 ? 1 : 0))
            message.descriptors.forEach { _ = close($0) }
            next += 1
            if next == 50 { break }
        }
        sender.close()
        #expect(await receiver.messages.first { _ in true } == nil)
        receiver.close()
    }

    @Test("a process that speaks otherwise is cut off")
    func hostileProcess() async throws {
        for body in [["type": "root shell"], ["type": "intent", "id": -1], "text"] as [JSON] {
            let (worker, process) = try pair()
            let link = EgressLink(descriptor: worker)
            let socket = ControlSocket(descriptor: process)
            socket.send(ControlMessage(body))
            #expect(await link.reports.first { _ in true } == nil)
            #expect(await socket.messages.first { _ in true } == nil)
            socket.close()
        }
    }

    @Test("two sessions in one process know nothing of each other; stopping one leaves the other")
    func shared() async throws {
        var setup = try ProxyFixture.Setup(#"[{"hosts":["one.test:81"]}]"#)
        setup.names = ["one.test": ["127.0.0.1"], "two.test": ["127.0.0.1"]]
        let server = try await TestServer.start()
        var random = SystemRandomNumberGenerator()
        let second = EgressConfiguration(
            session: "sesn_second", token: ProxyToken(using: &random),
            policy: try NetworkPolicy(json: try JSON(parsing: #"{"rules":[{"hosts":["two.test:\#(server.port)"]}],"addresses":["127.0.0.0/8"]}"#)))
        try await ProxyFixture.run(setup) { first in
            first.link.send(.configure(second))
            let listener = try ForwardSockets.listen()
            let port = try ForwardSockets.port(of: listener)
            first.link.send(.listen(session: "sesn_second", .proxy, descriptor: listener))
            await first.wait { $0.reports.contains { if case .ready("sesn_second", _) = $0 { true } else { false } } }
            let proof = "Proxy-Authorization: Basic \(String(decoding: Base64.encode(Array("session:\(second.token.text)".utf8)), as: UTF8.self))\r\n"
            func ask(_ port: Int, _ proof: String) async throws -> String {
                let host = "two.test:\(server.port)"
                return try await first.raw("GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proof)Connection: close\r\n\r\n", port: port)
            }
            #expect(try await ask(port, proof).hasPrefix("HTTP/1.1 200 "))
            #expect(try await ask(port, first.authorization).hasPrefix("HTTP/1.1 407 "))
            #expect(try await ask(first.port, proof).hasPrefix("HTTP/1.1 407 "))
            #expect(try await ask(first.port, first.authorization).hasPrefix("HTTP/1.1 403 "))
            first.link.send(.stop(session: "sesn_test"))
            // The listener of the stopped session goes; the other answers on.
            while (try? await ask(first.port, first.authorization)).map({ !$0.isEmpty }) == true {}
            #expect(try await ask(port, proof).hasPrefix("HTTP/1.1 200 "))
        }
        await server.stop()
    }
}
