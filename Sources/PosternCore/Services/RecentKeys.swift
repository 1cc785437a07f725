import ManagedAgentsAPI

/// Keys that were looked up within the last second, so that a busy key costs one read a second. Another process's revocation is seen after
/// that second; this process's at once, by `forget`.
struct RecentKeys: Sendable {
    private struct Entry {
        var key: KeyRecord
        var readAt: Timestamp
    }

    private var byID: [String: Entry] = [:]
    private var ids: [[UInt8]: String] = [:]
    private static let life = Duration.seconds(1)
    private static let capacity = 4096

    func key(_ id: String, _ now: Timestamp) -> KeyRecord? { byID[id].flatMap { now - $0.readAt < Self.life ? $0.key : nil } }

    /// By the secret's hash.
    func key(_ hash: [UInt8], _ now: Timestamp) -> KeyRecord? { ids[hash].flatMap { key($0, now) } }

    mutating func note(_ key: KeyRecord, _ now: Timestamp) {
        if byID.count >= Self.capacity {
            for (id, entry) in byID where now - entry.readAt >= Self.life { forget(id) }
        }
        guard byID.count < Self.capacity || byID[key.id] != nil else { return }
        byID[key.id] = Entry(key: key, readAt: now)
        ids[key.hash] = key.id
    }

    mutating func forget(_ id: String) {
        if let entry = byID.removeValue(forKey: id) { ids.removeValue(forKey: entry.key.hash) }
    }
}
