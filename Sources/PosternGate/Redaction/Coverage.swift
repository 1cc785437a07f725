/// Which parts of a text are to be replaced, as far as they are known: groups of matches that overlap or touch, in order. Offsets are
/// absolute.
struct Coverage: Sendable {
    struct Group: Sendable {
        var start: Int
        var end: Int
        /// Indices of the rules, each once.
        var rules: [Int]
        /// The first bytes of the group that have left the window, for the hash.
        var prefix: [UInt8] = []
    }

    private(set) var groups: [Group] = []
    /// The end of the last byte that any group has covered.
    private(set) var end = 0

    var isEmpty: Bool { groups.isEmpty }
    var first: Group? { groups.first }

    mutating func add(_ start: Int, _ end: Int, rule: Int) {
        self.end = max(self.end, end)
        var merged = Group(start: start, end: end, rules: [rule])
        // What begins before the new match ends, and ends after it began, becomes one with it. Groups do not touch one another.
        var low = groups.count
        while low > 0, groups[low - 1].end >= start { low -= 1 }
        var high = low
        while high < groups.count, groups[high].start <= end {
            let group = groups[high]
            if !group.prefix.isEmpty { merged.prefix = group.prefix }
            merged.start = min(merged.start, group.start)
            merged.end = max(merged.end, group.end)
            for rule in group.rules where !merged.rules.contains(rule) { merged.rules.append(rule) }
            high += 1
        }
        groups.replaceSubrange(low..<high, with: CollectionOfOne(merged))
    }

    mutating func removeFirst() -> Group { groups.removeFirst() }

    /// Keeps bytes of the first group that leave the window, up to `limit`.
    mutating func keep(_ bytes: ArraySlice<UInt8>, limit: Int) {
        guard !groups.isEmpty, groups[0].prefix.count < limit else { return }
        groups[0].prefix += bytes.prefix(limit - groups[0].prefix.count)
    }
}
