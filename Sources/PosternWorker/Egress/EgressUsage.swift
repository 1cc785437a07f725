import PosternAudit
import PosternEgress
import PosternGate
import PosternPolicy

/// What a session has sent, as its proxies count it, kept by the worker: the next proxy of the session goes on from there, whether the one
/// before it ended because the session was idle or released, because it died, or with the worker.
///
/// A proxy says what it counts before it sends it, so what a proxy that died has sent is counted; and the file runs ahead of the counts
/// (`ByteBook`), so that a kill of the worker makes them too high rather than too low.
struct EgressUsage: Sendable {
    let book: ByteBook
    let session: String
    /// The present day of UTC, `YYYY-MM-DD`.
    let day: @Sendable () -> String

    /// Counts bytes that are about to leave for `host`.
    func add(_ bytes: Int, _ host: CanonicalHost) async throws(FileError) {
        let today = day()
        try await book.add(ByteCharge(bytes: bytes, session: session, host: host.description, day: today))
        try await book.add(ByteCharge(bytes: bytes, session: account(of: today), day: today))
    }

    /// What a proxy that starts now begins with.
    var used: BytesUsed {
        let count = book.count(session: session)
        var used = BytesUsed(day: today, session: count.bytes)
        for (name, bytes) in count.byHost {
            // Hosts that share a count, and names that are none: each host that has no count of its own begins with theirs.
            if let host = try? CanonicalHost(name) { used.hosts[host] = bytes } else { used.otherHosts += bytes }
        }
        return used
    }

    /// Bytes of the present day.
    var today: Int { book.bytes(session: account(of: day())) }

    /// The session is over and comes back no more.
    func forget() {
        book.forget(session: session)
        book.forget(session: account(of: day()))
    }

    private func account(of day: String) -> String { "\(session) \(day)" }
}
