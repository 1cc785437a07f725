import ArgumentParser
import PosternMCP
import Testing

@testable import PosternCommands

@Suite struct MCPConnectionTests {
    /// A bridge lives for long: steps that nobody reads are not kept.
    @Test func onlyWhoMeasuresHearsOfSteps() throws {
        let connection = try MCPConnection(try MCPServerOptions.parse([]), url: "http://127.0.0.1:9/mcp")
        let isHeard = connection.options(for: nil).onStep != nil
        #expect(!isHeard)
        let trace = MCPConnection.Trace()
        connection.options(for: trace).onStep?(MCPClient.Step(name: "initialize", duration: .seconds(1)))
        #expect(trace.steps.map(\.name) == ["initialize"])
    }
}
