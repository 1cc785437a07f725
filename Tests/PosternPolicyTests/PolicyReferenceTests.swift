import PosternJSON
import Testing

@testable import PosternPolicy

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite struct PolicyReferenceTests {
    @Test func whatShowPrintsReadsBackToTheSamePolicy() throws {
        for text in [examplePolicy, "version: 1", "version: 1\nextends: build\nfiles: {hidden: [\"!**/.env\"]}", "version: 1\nextends: offline"] {
            let policy = try readPolicy(text)
            let again = try readPolicy(policy.yaml)
            #expect(again == policy, "\(policy.yaml)")
        }
    }

    @Test func showUsesUnits() throws {
        let yaml = try readPolicy(examplePolicy).yaml
        for line in ["  memory: 512MiB", "  call_time: 30s", "  cpu: 150%", "  io: none", "    call: 1MiB", "    day: none"] {
            #expect(yaml.contains(line + "\n"), "\(line)")
        }
    }

    @Test func awkwardTextsAreQuoted() throws {
        for text in ["no", "1", "", "*x", "a: b", "#", "&x", "- a", "null", "1e3", "it's", "\"", "\\", "é", "a\u{7F}b", "true", "x "] {
            let yaml = YAMLWriter.text(of: ["key": .string(text), "list": [.string(text)]])
            #expect(try PolicyText.read(yaml, file: "p").json == ["key": .string(text), "list": [.string(text)]], "\(yaml)")
        }
    }

    @Test func everyKeyIsInTheReferenceWithHelp() {
        let page = PolicyReference.page
        for key in [
            "`network.rules[].hosts`", "`secrets.NAME.from.vault.token_file`", "`limits.call_time`", "`tools.ask[].when`", "`redaction.detectors`",
        ] {
            #expect(page.contains("| \(key) |"), "\(key)")
        }
        #expect(!page.split(separator: "\n").contains { $0.hasPrefix("|") && ($0.contains("|  |  |") || $0.hasSuffix("|  |")) })
    }

    @Test func theSchemaForEditorsNamesEveryKey() throws {
        let schema = PolicySchema.jsonSchema
        #expect(schema["properties"]?.object?.keys == PolicySchema.document.map(\.name))
        #expect(schema["additionalProperties"] == false && schema["required"] == ["version"])
    }

    /// The examples of docs/policy.md are policies.
    @Test func examplesOfTheDocumentationAreSound() throws {
        let page = try text(of: "docs/policy.md")
        let blocks = page.components(between: "```yaml\n", and: "```")
        #expect(blocks.count >= 4)
        for block in blocks { #expect(policyProblems(block) == [], "\(block)") }
    }

    /// `make docs` writes it.
    @Test func theReferenceIsCurrent() throws {
        #expect(try text(of: "docs/policy-reference.md") == PolicyReference.page, "run make docs")
    }

    private func text(of path: String) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let file = try #require(fopen("\(root)/\(path)", "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension String {
    fileprivate func components(between open: String, and close: String) -> [String] {
        var blocks: [String] = []
        var rest = self[...]
        while let start = rest.firstRange(of: open) {
            rest = rest[start.upperBound...]
            guard let end = rest.firstRange(of: close) else { break }
            blocks.append(String(rest[..<end.lowerBound]))
            rest = rest[end.upperBound...]
        }
        return blocks
    }
}
