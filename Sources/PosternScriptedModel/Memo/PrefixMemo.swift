import PosternJSON
import Synchronization

/// Remembers how far the long requests of a growing conversation have been read, so that the next one costs its new messages and a hash of
/// the rest: without this, the scripted model would be what a benchmark of long sessions measures. It changes no answer. Bounded by the
/// number of conversations and of their messages; the oldest goes first.
package final class PrefixMemo: Sendable {
    /// Smaller requests are read faster than looked up.
    static let smallestBody = 4 * BlockHash.blockSize
    /// Messages at the end that are always read anew: a client moves its cache breakpoints about there.
    static let openMessages = 4

    struct Entry: Sendable {
        var reading: AnthropicReading
        /// Bytes of the request that have been read, up to the end of a message.
        var end: Int
        /// Those of them behind the last whole block.
        var tail: [UInt8]
        var key: UInt64
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var order: [UInt64] = []
        var messages = 0
    }

    private let state = Mutex(State())
    private let maximumEntries: Int
    private let maximumMessages: Int

    package init(maximumEntries: Int = 1_024, maximumMessages: Int = 400_000) {
        self.maximumEntries = maximumEntries
        self.maximumMessages = maximumMessages
    }

    /// A body with the hashes of its prefixes.
    struct Query {
        let body: [UInt8]
        let hashes: [UInt64]

        /// - Returns: nil for a body that is read faster than looked up.
        init?(_ body: [UInt8]) {
            guard body.count >= PrefixMemo.smallestBody else { return nil }
            self.body = body
            hashes = BlockHash.prefixes(of: body)
        }
    }

    /// The longest known beginning of a body.
    func find(_ query: Query) -> Entry? {
        let (body, hashes) = (query.body, query.hashes)
        return state.withLock { state in
            for (index, hash) in hashes.enumerated().reversed() {
                guard let entry = state.entries[hash] else { continue }
                let start = (index + 1) * BlockHash.blockSize
                guard entry.end == start + entry.tail.count, entry.end < body.count, body[start..<entry.end] == entry.tail[...] else { continue }
                return entry
            }
            return nil
        }
    }

    /// Keeps `reading`, which has read the first `end` bytes of the body, in the place of the entry that it goes on from.
    func remember(_ reading: AnthropicReading, of query: Query, end: Int, replacing old: UInt64?) {
        let blocks = end / BlockHash.blockSize
        guard blocks > 0 else { return }
        let key = query.hashes[blocks - 1]
        let entry = Entry(reading: reading, end: end, tail: Array(query.body[(blocks * BlockHash.blockSize)..<end]), key: key)
        state.withLock { state in
            for stale in Set([old, key].compactMap { $0 }) { Self.remove(stale, from: &state) }
            state.entries[key] = entry
            state.order.append(key)
            state.messages += reading.messageCount
            while let oldest = state.order.first, state.order.count > maximumEntries || state.messages > maximumMessages {
                Self.remove(oldest, from: &state)
            }
        }
    }

    private static func remove(_ key: UInt64, from state: inout State) {
        guard let entry = state.entries.removeValue(forKey: key) else { return }
        state.messages -= entry.reading.messageCount
        if let index = state.order.firstIndex(of: key) { state.order.remove(at: index) }
    }
}

extension PrefixMemo.Entry {
    /// Reads the rest of the request.
    func finish(_ query: PrefixMemo.Query, memo: PrefixMemo) throws(ScriptedFault) -> Conversation {
        let body = query.body
        // What follows is `,message,message]}`; with anything else behind the messages it is no JSON, and the whole is read instead.
        guard body[end] == UInt8(ascii: ","), let close = body.lastIndex(of: UInt8(ascii: "}")) else { return try AnthropicRequest.read(body) }
        var rest: [UInt8] = [UInt8(ascii: "[")]
        rest.append(contentsOf: body[(end + 1)..<close])
        guard body[(close + 1)...].allSatisfy({ [0x20, 0x09, 0x0A, 0x0D].contains($0) }), let list = (try? JSON(parsing: rest))?.array else {
            return try AnthropicRequest.read(body)
        }
        var reading = reading
        let settled = max(0, list.count - PrefixMemo.openMessages)
        try reading.read(list[..<settled])
        if settled > 0 {
            var scanner = MessageScanner(body, afterMessageAt: end)
            if let newEnd = scanner.end(ofMessages: settled) { memo.remember(reading, of: query, end: newEnd, replacing: key) }
        }
        try reading.read(list[settled...])
        return try reading.finished()
    }
}
