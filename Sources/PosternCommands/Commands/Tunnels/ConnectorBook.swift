import FoundationEssentials
import PosternGate

/// The book of a connector's answers. Its accounts are those of callers, each session being one, and of days: nobody says that one is over.
enum ConnectorBook {
    /// Days after which an account that nothing was charged to is dropped: longer than any runtime certificate lasts.
    static let keptDays = 30

    /// - Parameter path: `nil` for a book that is forgotten with the process.
    /// - Throws: where the file cannot be read as a ledger. Blocks; for start-up.
    static func open(_ path: String?, now: Date) throws -> ByteBook {
        guard let path else { return ByteBook() }
        let first = now.addingTimeInterval(-Double(keptDays) * 86_400)
        return try ByteBook(path: path, keptFrom: first.formatted(.iso8601.year().month().day()))
    }
}
