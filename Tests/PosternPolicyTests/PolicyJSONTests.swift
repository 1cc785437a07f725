import PosternJSON
import Testing

@testable import PosternPolicy

@Suite struct PolicyJSONTests {
    @Test func theJSONOfAPolicyReadsBackToIt() throws {
        let policy = try readPolicy(examplePolicy)
        let text = policy.json.text
        let again = try Policy(json: try JSON(parsing: text))
        #expect(again == policy)
        #expect(again.digest == policy.digest)
    }

    @Test func aNarrowedPolicyReadsBackToo() throws {
        let policy = try readPolicy(examplePolicy).narrowed(by: PolicyReader.profile(.build).policy)
        #expect(!policy.tools.ceilings.isEmpty && !policy.network.ceilings.isEmpty)
        #expect(try Policy(json: try JSON(parsing: policy.json.text)) == policy)
    }

    @Test func theDigestSeesEveryFieldAndNoSpelling() throws {
        let policy = try readPolicy(examplePolicy)
        #expect(policy.digest.hasPrefix("sha256:") && policy.digest.utf8.count == 71)
        #expect(try readPolicy(examplePolicy.replacing("512MiB", with: "536870912B").replacing("# ", with: "")).digest == policy.digest)
        var digests: Set<String> = [policy.digest]
        let changes: [(inout Policy) -> Void] = [
            { $0.name = "x" }, { $0.profile = .build }, { $0.files = FileRules() }, { $0.workspace = .ro }, { $0.network.rules[0].ports = [1] },
            { $0.network.addresses = AddressPolicy() }, { $0.network.budgets.call = 7 }, { $0.egress = .shared }, { $0.upstream.caFile = nil },
            { $0.secrets[0].source = .variable(name: "X") }, { $0.forwards = [] }, { $0.limits.memory = nil }, { $0.resultBudgets.day = 1 },
            { $0.variables["A"] = "b" }, { $0.tools = ToolRules() }, { $0.redaction.patterns = [] }, { $0.requiresAllLayers = false },
        ]
        for change in changes {
            var changed = policy
            change(&changed)
            #expect(digests.insert(changed.digest).inserted)
        }
    }

    @Test(arguments: [
        #"{"version":2}"#, #"{"version":1,"name":"a","zebra":1}"#, #"{"version":1,"name":"a","limits":{"memory":1}}"#,
        #"{"version":1,"name":"a","network":{"egress":"none"}}"#, #"{"version":1,"name":"a","secrets":{"x":{}}}"#, "[]",
    ])
    func whatIsNotAPolicyIsRefused(text: String) throws {
        let json = try JSON(parsing: text)
        #expect(throws: PolicyValueError.self) { try Policy(json: json) }
    }
}
