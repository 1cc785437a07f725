import ManagedAgentsAPI

/// What the edges have said of the legs they hold, each edge's last word. In memory only: a restarted server hears it again within seconds.
struct ConnectorBoard: Sendable {
    private struct Word {
        var legs: [String: [EdgeParams.Leg]]
        var at: Timestamp
    }

    private var words: [String: Word] = [:]
    /// An edge that says nothing for so long is forgotten.
    static let life = Duration.seconds(90)
    static let mostEdges = 64

    /// - Throws: 400 when there are too many edges, so that made-up names do not fill the memory.
    mutating func take(_ report: EdgeParams.Report, at time: Timestamp) throws(APIError) {
        words = words.filter { time - $0.value.at < Self.life }
        guard words.count < Self.mostEdges || words[report.edge] != nil else {
            throw .invalid("edge: \(Self.mostEdges) edges report already, which is the most")
        }
        words[report.edge] = Word(legs: report.legs, at: time)
    }

    /// The legs of a tunnel by edge, then by start.
    func legs(of tunnelID: String, at time: Timestamp) -> [ConnectorLeg] {
        words.filter { time - $0.value.at < Self.life }.sorted { $0.key < $1.key }.flatMap { edge, word in
            (word.legs[tunnelID] ?? []).sorted { $0.since < $1.since }.map { ConnectorLeg(edge: edge, leg: $0, lastSeen: word.at) }
        }
    }
}

/// A leg as an edge described it last.
package struct ConnectorLeg: Sendable, Equatable {
    package var edge: String
    package var leg: EdgeParams.Leg
    package var lastSeen: Timestamp
}
