import PosternJSON

/// What opened a session, kept so that a server which is started anew can be brought to where the old one was. A value without I/O.
package struct ServerHandshake: Sendable {
    /// Bytes of each of the two messages, which are kept for as long as the session lasts.
    package static let longestMessage = 64 << 10

    /// The caller's `initialize`, and its `notifications/initialized`.
    private var initialize: RawMessage?
    private var initialized: RawMessage?
    /// What the server has agreed to.
    package private(set) var revision: String?

    package init() {}

    /// Whether the session stands: a server that is started now has to be told.
    package var isDone: Bool { revision != nil }
    package var hasBatches: Bool { revision == Revision.march2025.rawValue }

    package mutating func sent(_ message: RawMessage) {
        if message.method == "initialize", revision == nil { initialize = message }
        if message.method == "notifications/initialized", initialized == nil { initialized = message }
    }

    /// The server's answer to `initialize`. False for one that opens no session.
    package mutating func answered(_ bytes: [UInt8]) -> Bool {
        guard let answer = Self.revision(in: bytes) else { return false }
        revision = answer
        return true
    }

    /// What the new server is told first, and after it has answered that.
    package var replay: (first: RawMessage, second: RawMessage?)? { initialize.map { ($0, initialized) } }

    /// Whether the new server's answer promises what the old one's did. Otherwise the caller has to begin anew.
    package func isSame(_ bytes: [UInt8]) -> Bool { revision != nil && Self.revision(in: bytes) == revision }

    private static func revision(in bytes: [UInt8]) -> String? { (try? JSON(parsing: bytes))?["result"]?["protocolVersion"]?.string }
}
