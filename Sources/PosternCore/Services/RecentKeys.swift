import ManagedAgentsAPI

/// Keys that were looked up within the last second, so that a busy key costs one read a second. Another process's revocation is seen after
/// that second; this process's at once, by `forget`: what a read that began before it brings back is not kept.
struct RecentKeys: Sendable {
    private struct Entry {
        var key: KeyRecord
        var readAt: Timestamp
    }

    private var byID: [String: Entry] = [:]
    private var ids: [[UInt8]: String] = [:]
    /// When a key was forgotten. Kept for a second: an older read is too old to be answered from.
    private var forgotten: [String: Timestamp] = [:]
    private static let life = Duration.seconds(1)
    private static let capacity = 4096

    /// How many forgotten ids are still remembered.
    var forgottenCount: Int { forgotten.count }

    func key(_ id: String, _ now: Timestamp) -> KeyRecord? { byID[id].flatMap { now - $0.readAt < Self.life ? $0.key : nil } }

    /// By the secret's hash.
    func key(_ hash: [UInt8], _ now: Timestamp) -> KeyRecord? { ids[hash].flatMap { key($0, now) } }

    /// - Parameters:
    ///   - readAt: When the read began.
    ///   - now: When it came back.
    mutating func note(_ key: KeyRecord, readAt: Timestamp, now: Timestamp) {
        // One that began at the very instant may be older, too.
        if let forgottenAt = forgotten[key.id], readAt <= forgottenAt { return }
        guard now - readAt < Self.life else { return }
        if byID.count >= Self.capacity {
            for (id, entry) in byID where now - entry.readAt >= Self.life { remove(id) }
        }
        guard byID.count < Self.capacity || byID[key.id] != nil else { return }
        byID[key.id] = Entry(key: key, readAt: readAt)
        ids[key.hash] = key.id
    }

    /// The key has changed in the store, which is done before this is called.
    mutating func forget(_ id: String, now: Timestamp) {
        remove(id)
        for (other, time) in forgotten where now - time >= Self.life { forgotten.removeValue(forKey: other) }
        forgotten[id] = now
    }

    private mutating func remove(_ id: String) {
        if let entry = byID.removeValue(forKey: id) { ids.removeValue(forKey: entry.key.hash) }
    }
}
