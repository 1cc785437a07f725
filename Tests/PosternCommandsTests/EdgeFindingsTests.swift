import Foundation
import PosternJSON
import PosternPolicy
import PosternTunnelWire
import Testing

@testable import PosternCommands
@testable import PosternConnector

@Suite("What connector doctor says of the way to an edge")
struct EdgeFindingsTests {
    /// Sun, 06 Nov 1994 08:49:37 GMT.
    private static let now = Date(timeIntervalSince1970: 784_111_777)

    private static func findings(_ outcome: EdgeProbe.Outcome, at time: Date = now) throws -> [StepFinding] {
        let address = try Authority("edge.example.com:443")
        let edges = ConnectorConfiguration.Edges(addresses: [address], name: "tunnel.example.com", caFile: nil, proxy: nil)
        return EdgeFindings(edges: edges, address: address, now: time).findings(outcome)
    }

    @Test("a clock that is not the edge's is told, and fails where certificates of minutes would")
    func clock() throws {
        func finding(_ date: String?, behind seconds: TimeInterval) throws -> StepFinding? {
            var outcome = EdgeProbe.Outcome()
            outcome.steps = [(.answered(date: date), .milliseconds(1))]
            return try Self.findings(outcome, at: Self.now - seconds).first
        }
        let date = "Sun, 06 Nov 1994 08:49:37 GMT"
        for (seconds, verdict) in [(0, .good), (30, .good), (-30, .good), (31, .warning), (-300, .warning), (301, .failed), (-86_400, .failed)]
            as [(TimeInterval, StepFinding.Verdict)]
        {
            let told = try #require(try finding(date, behind: seconds))
            #expect(told.step == "clock" && told.verdict == verdict && (told.remedy == nil) == (verdict == .good), "\(seconds): \(told)")
        }
        // An edge that does not tell, or tells no date.
        #expect(try finding(nil, behind: 0) == nil && finding("now", behind: 0) == nil)
    }

    @Test("each refusal of a leg has its remedy; a tunnel with all its legs is no fault of this connector's", arguments: LegRefusal.Reason.allCases)
    func refusals(reason: LegRefusal.Reason) throws {
        let told = try #require(try Self.findings(.init(failure: .refused(LegRefusal(reason, "the edge's words")))).first)
        #expect(told.step == "registration" && told.detail.contains(reason.rawValue) && told.detail.contains("the edge's words"))
        #expect(told.remedy?.isEmpty == false && told.verdict == (reason == .tooManyLegs ? .warning : .failed))
    }

    @Test("what an edge sends is shown without its control characters")
    func control() throws {
        let told = try #require(try Self.findings(.init(failure: .refused(LegRefusal(.unavailable, "a\u{1B}[2Jb")))).first)
        #expect(!told.lines(Terminal(isColoured: false)).joined().contains("\u{1B}") && !told.json.text.contains("\u{1B}"))
        #expect(!told.json.text.contains("\\u001b"))
    }
}
