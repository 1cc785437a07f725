import PosternJSON
import PosternPolicy
import Testing

@testable import PosternConnector

/// Pins in a file: what was looked at, and what is different now.
@Suite("A file of pins")
struct PinFileTests {
    private static let read: JSON = ["name": "read", "description": "Reads.", "annotations": ["readOnlyHint": true]]

    private static func configuration(_ files: [String: String], _ tools: String = "pins: docs.pins.json") throws -> ConnectorConfiguration {
        let text = ConnectorConfigurationTests.good.replacing(
            "    upstream: http://10.0.0.7:8080\n", with: "    upstream: http://10.0.0.7:8080\n    policy: {tools: {\(tools)}}\n")
        var configuration = try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "h")
        try configuration.readPins { files[$0] }
        return configuration
    }

    private static func rule(_ configuration: ConnectorConfiguration, _ tool: String, shows definition: JSON) throws -> String? {
        let routeGuard = RouteGuard(try #require(configuration.routes["docs"]?.policy))
        _ = routeGuard.saw([(tool, ToolDefinition(definition))])
        return routeGuard.rule(tool: tool)
    }

    @Test("definitions and digests in it pin as those in the document do, and what is not there lets nothing be called")
    func reading() throws {
        for file in [#"{"read": \#(Self.read.text)}"#, #"{"read": "\#(ToolDigest(of: Self.read))"}"#] {
            let configuration = try Self.configuration(["docs.pins.json": file])
            #expect(try Self.rule(configuration, "read", shows: Self.read) == nil)
            #expect(try Self.rule(configuration, "read", shows: ["name": "read"]) == "tools.pins")
            #expect(try Self.rule(configuration, "other", shows: ["name": "other"]) == "tools.allow")
        }
        // Whoever does not read the file lets nothing through.
        let text = ConnectorConfigurationTests.good.replacing(
            "    upstream: http://10.0.0.7:8080\n", with: "    upstream: http://10.0.0.7:8080\n    policy: {tools: {allow: [read], pins: a.json}}\n")
        let unread = try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "h")
        #expect(try Self.rule(unread, "read", shows: Self.read) == "tools.pins")
        let narrow = try Self.configuration(["docs.pins.json": #"{"read": \#(Self.read.text)}"#], "allow: [other], pins: docs.pins.json")
        #expect(try Self.rule(narrow, "read", shows: Self.read) == "tools.allow")
    }

    @Test("the digest of what is in force changes with the file")
    func digest() throws {
        let one = try Self.configuration(["docs.pins.json": "{}"])
        #expect(try one.digest != Self.configuration(["docs.pins.json": #"{"read": \#(Self.read.text)}"#]).digest)
        #expect(try one.digest == Self.configuration(["docs.pins.json": "{}"]).digest)
    }

    @Test(
        "what is no file of pins is refused, with the route and the tool",
        arguments: [
            (nil, "postern connector pin"), ("", "it is no JSON"), ("[]", "must be a JSON object"), (#"{"read": 1}"#, "definition or a digest"),
            (#"{"read": "sha256:00"}"#, "64 hexadecimal"), (#"{"read": {"name": "write"}}"#, "is that of another tool"),
            (#"{"read": {}}"#, "is that of another tool"), (#"{"é": {"name": "é"}}"#, "printable ASCII"),
            (#"{"a": {"name": "a"}, "a": {}}"#, "no JSON"),
        ] as [(String?, String)])
    func refusals(_ file: String?, _ problem: String) {
        do {
            _ = try Self.configuration(file.map { ["docs.pins.json": $0] } ?? [:])
            Issue.record("it was read")
        } catch {
            #expect("\(error)".contains(problem) && "\(error)".contains("routes.docs.policy.tools.pins"), "\(error)")
        }
    }

    @Test("new, changed and gone tools are told, only those that are asked for, and what is taken is what was shown")
    func changes() throws {
        var file = try PinFile(#"{"read": \#(Self.read.text), "old": {"name": "old"}, "same": {"name": "same", "n": 1}}"#)
        let list = try ToolPins(Array(#"[{"name":"read","description":"Sends."},{"n":1.0,"name":"same"},{"name":"new"}]"#.utf8))
        let changes = file.changes(list, only: nil)
        #expect(changes.map(\.tool) == ["read", "new", "old"])
        #expect(changes.map(\.change) == [.changed(["name": "read", "description": "Sends."], before: Self.read), .new(["name": "new"]), .gone])
        #expect(file.changes(list, only: ["new"]).map(\.tool) == ["new"] && file.changes(list, only: ["old"]).map(\.change) == [.gone])
        file.take(changes)
        #expect(file.changes(list, only: nil).isEmpty && file.pins.keys.sorted() == ["new", "read", "same"])
        #expect(try PinFile(file.json.text) == file)
    }
}
