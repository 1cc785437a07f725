import PosternJSON
import Testing

@testable import PosternPolicy

@Suite struct PolicyExplanationTests {
    private func loaded() throws -> LoadedPolicy { try PolicyReader().read(examplePolicy, file: "p.yaml") }

    private func check(_ explanation: PolicyExplanation, _ verdict: PolicyExplanation.Verdict, _ rule: String?, line: Int?) {
        #expect(explanation.verdict == verdict, "\(explanation)")
        #expect(explanation.rule == rule, "\(explanation)")
        #expect(explanation.place?.file == line.map { _ in "p.yaml" } && explanation.place?.line == line, "\(explanation)")
    }

    @Test func requestsNameTheRuleAndItsLine() throws {
        let policy = try loaded()
        check(
            try policy.explain(method: "GET", url: "https://api.example.com/v1/x", credentials: ["github"]), .allowed, "network.rules: api", line: 13)
        check(try policy.explain(method: "GET", url: "https://api.example.com/v1/x"), .denied, "network.rules: api", line: 13)
        check(try policy.explain(method: "GET", url: "https://api.example.com/v1/admin/x"), .denied, "network.rules: no-admin", line: 20)
        check(try policy.explain(method: nil, url: "other.example.com:443"), .allowed, "network.rules: tunnel", line: 21)
        check(try policy.explain(method: nil, url: "https://nobody.example"), .denied, nil, line: nil)
        let none = try policy.explain(method: "GET", url: "http://nobody.example")
        #expect(none.remedy.contains("network.rules") && none.question == "may GET / at nobody.example:80 unencrypted be reached?")
        // No remedy that would not help.
        let metadata = try policy.explain(method: "GET", url: "http://2852039166/")
        #expect(metadata.verdict == .denied && metadata.reason.contains("169.254.169.254:80, which is the metadata service of a cloud"))
        #expect(metadata.remedy == "policies cannot name it")
        let address = try policy.explain(method: "GET", url: "http://192.168.7.7/")
        #expect(address.remedy.contains("network.rules") && address.remedy.contains("network.addresses"))
        #expect(throws: PolicyValueError.self) { try policy.explain(method: "GET", url: "https://a b/") }
        #expect(throws: PolicyValueError.self) { try policy.explain(method: "GET", url: "https://api.example.com/../x") }
    }

    @Test func pathsNameTheRuleAndItsLine() throws {
        let policy = try loaded()
        let denials = MandatoryDenials()
        func explain(_ path: String, writing: Bool = false) throws -> PolicyExplanation {
            try policy.explain(path: path, writing: writing, denials: denials)
        }
        check(try explain("/srv/data/x"), .allowed, "files.read[0]", line: 7)
        check(try explain("/srv/data/x", writing: true), .denied, "files.read[0]", line: 7)
        check(try explain("/srv/out/x", writing: true), .allowed, "files.write[0]", line: 8)
        check(try explain("/srv/data/key.pem"), .denied, "files.hidden[21]", line: 9)
        check(try explain("/srv/other"), .denied, nil, line: nil)
        check(try explain("/proc/1/environ"), .denied, nil, line: nil)
        check(try explain("src/main.c", writing: true), .allowed, "workspace", line: 10)
        #expect(try explain("/workspace/.ssh/id").place?.file == "profile strict")
        #expect(try explain(".git/hooks/x", writing: true).verdict == .denied && explain(".git/hooks/x").verdict == .allowed)
    }

    @Test func callsNameTheRuleAndItsLine() throws {
        let policy = try loaded()
        check(policy.explain(tool: "bash", input: ["command": "git push origin"]), .asked, "tools.ask[0]", line: 45)
        check(policy.explain(tool: "bash", input: ["command": "ls"]), .allowed, "tools.allow[0]", line: 42)
        check(policy.explain(tool: "bash", input: [:]), .allowed, "tools.allow[0]", line: 42)
        check(policy.explain(tool: "web_search", input: [:]), .denied, "tools.deny[0]", line: 43)
        check(policy.explain(tool: "write", input: [:]), .denied, nil, line: nil)
        #expect(policy.explain(tool: "bash", input: ["command": "rm -rf /"]).reason == "leaves the house")
    }
}
