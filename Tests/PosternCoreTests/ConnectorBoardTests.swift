import ManagedAgentsAPI
import PosternJSON
import Testing

@testable import PosternCore

@Suite struct ConnectorBoardTests {
    private let start = Timestamp(microseconds: 1_800_000_000_000_000)

    private func report(_ edge: String, _ tunnel: String, _ versions: String...) throws -> EdgeParams.Report {
        let legs: [JSON] = versions.enumerated().map { index, version in
            [
                "connector_key": .string(String(repeating: "a", count: 64)), "version": .string(version),
                "since": .string(start.advanced(by: .seconds(index)).description), "streams": 0, "bytes_in": 0, "bytes_out": 0,
            ]
        }
        return try EdgeParams.Report(["edge": .string(edge), "tunnels": [["tunnel_id": .string(tunnel), "legs": .array(legs)]]])
    }

    @Test func anEdgesLastWordHoldsForNinetySeconds() throws {
        let (one, two) = (ResourceID.make(.tunnel), ResourceID.make(.tunnel))
        var board = ConnectorBoard()
        try board.take(try report("b", one, "1", "2"), at: start)
        try board.take(try report("a", one, "3"), at: start.advanced(by: .seconds(10)))
        #expect(board.legs(of: one, at: start.advanced(by: .seconds(10))).map { $0.edge + $0.leg.version } == ["a3", "b1", "b2"])
        #expect(board.legs(of: two, at: start).isEmpty)
        // What it says now replaces what it said.
        try board.take(try report("a", two, "4"), at: start.advanced(by: .seconds(20)))
        #expect(board.legs(of: one, at: start.advanced(by: .seconds(89))).map(\.leg.version) == ["1", "2"])
        #expect(board.legs(of: one, at: start.advanced(by: .seconds(90))).isEmpty)
        #expect(board.legs(of: two, at: start.advanced(by: .seconds(109))).count == 1)
        #expect(board.legs(of: two, at: start.advanced(by: .seconds(110))).isEmpty)
    }

    @Test func madeUpNamesDoNotFillTheMemory() throws {
        let tunnel = ResourceID.make(.tunnel)
        var board = ConnectorBoard()
        for index in 0..<ConnectorBoard.mostEdges { try board.take(try report("\(index)", tunnel, "1"), at: start) }
        #expect(throws: APIError.self) { try board.take(try report("one more", tunnel, "1"), at: start) }
        try board.take(try report("3", tunnel, "2"), at: start)
        #expect(board.legs(of: tunnel, at: start).count == ConnectorBoard.mostEdges)
        // Whoever has gone silent makes room.
        try board.take(try report("one more", tunnel, "1"), at: start.advanced(by: .seconds(90)))
        #expect(board.legs(of: tunnel, at: start.advanced(by: .seconds(90))).count == 1)
    }
}
