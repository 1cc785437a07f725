import Foundation
import Testing

extension ProcessTests {
    /// `postern sandbox policy`, as an operator uses it.
    @Suite final class PolicyCommandTests {
        private let folder: URL

        init() throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("postern-policies-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(at: folder) }

        private func write(_ name: String, _ text: String) throws {
            try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }

        private func policy(_ arguments: String...) async throws -> (output: String, status: Int32) {
            try await BuiltPostern(["sandbox", "policy"] + arguments, folder: folder).finished()
        }

        @Test func checkNamesEveryMistakeLikeACompiler() async throws {
            try write(
                "p.yaml", "version: 1\nnetwork: {rules: [{hosts: a.example, methods: [post]}]}\nredaction: {patterns: [{name: a, pattern: \"(\"}]}\n")
            let (output, status) = try await policy("check", "p.yaml")
            #expect(status == 5)
            #expect(output.contains("p.yaml:2:48: error: network.rules[0].methods[0]: \"post\""), "\(output)")
            try write("p.yaml", "version: 1\nredaction: {patterns: [{name: a, pattern: \"(\"}]}\n")
            #expect(try await policy("check", "p.yaml").output.contains("is no pattern of the gate"))
            try write("p.yaml", "version: 1\n")
            let sound = try await policy("check", "p.yaml")
            #expect(sound.status == 0 && sound.output.contains("p.yaml: p sha256:"))
            #expect(try await policy("check", "absent.yaml").status == 4)
        }

        @Test func aFolderIsReadInTheOrderOfItsNames() async throws {
            try write("20.yaml", "version: 1\nname: b\n")
            try write("10.yml", "version: 1\nname: a\nmatch: {agents: x}\n")
            try write("notes.txt", "no policy\n")
            try write(".hidden.yaml", "no policy\n")
            let (output, status) = try await policy("check", ".")
            let lines = output.split(separator: "\n")
            #expect(status == 0 && lines.count == 3 && lines.prefix(2).map { $0.prefix(9) } == ["./10.yml:", "./20.yaml"], "\(output)")
            #expect(lines.last?.contains("sha256:") == true, "\(output)")
            try write("30.json", #"{"version": 1, "name": "c"}"#)
            #expect(try await policy("check", ".").output.contains("./30.json:1:1: error: match: is never asked: ./20.yaml comes first"))
        }

        @Test func explainNamesTheLineAndEndsWithTheAnswer() async throws {
            try write("p.yaml", "version: 1\nnetwork:\n  rules:\n    - {id: api, hosts: a.example, methods: [GET]}\n")
            let allowed = try await policy("explain", "p.yaml", "--url", "https://a.example/x", "--method", "GET")
            #expect(allowed.status == 0 && allowed.output.contains("network.rules: api at p.yaml:4:7"), "\(allowed)")
            let denied = try await policy("explain", "p.yaml", "--url", "https://a.example/x", "--method", "PUT")
            #expect(denied.status == 5 && denied.output.hasPrefix("denied: may PUT /x at a.example:443"), "\(denied)")
            try write("less.json", #"["nothing"]"#)
            let narrowed = try await policy("explain", "p.yaml", "--narrow", "less.json", "--url", "a.example:443")
            #expect(narrowed.status == 5 && narrowed.output.contains("the policy does not have nothing"), "\(narrowed)")
        }

        @Test func whatShowPrintsIsAPolicy() async throws {
            let shown = try await policy("show", "build")
            try write("p.yaml", shown.output)
            let again = try await policy("show", "p.yaml")
            #expect(shown.status == 0 && again.output == shown.output)
        }

        @Test func diffFailsOnWhatWidens() async throws {
            try write("p.yaml", "version: 1\nlimits: {memory: 64MiB}\n")
            #expect(try await policy("diff", "strict", "p.yaml").status == 0)
            let wider = try await policy("diff", "p.yaml", "strict")
            #expect(wider.status == 5 && wider.output == "+ limits: memory: 4GiB in place of 64MiB\n", "\(wider)")
        }
    }
}
