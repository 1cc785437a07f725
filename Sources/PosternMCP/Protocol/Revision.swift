/// A revision of the Model Context Protocol that is spoken here.
package enum Revision: String, Sendable, CaseIterable {
    case march2025 = "2025-03-26"
    case june2025 = "2025-06-18"
    case november2025 = "2025-11-25"
    case july2026 = "2026-07-28"

    package var era: Era { self == .july2026 ? .modern : .handshake }

    /// Only this revision has batches of JSON-RPC messages.
    package var hasBatches: Bool { self == .march2025 }

    /// The newest of an era.
    package static func newest(of era: Era) -> Revision { era == .modern ? .july2026 : .november2025 }
}

/// The two families of revisions, which differ in how a connection begins and in what the end of a stream means.
package enum Era: String, Sendable {
    /// 2025-03-26 to 2025-11-25: `initialize`, sessions, streams that can be resumed; a disconnect is no cancellation.
    case handshake
    /// 2026-07-28: every request stands for itself; closing its stream cancels it.
    case modern
}
