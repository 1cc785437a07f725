import PosternTunnelWire

/// A connector's look at a tunnel's log that can leave checks out: what a forgery meets where it is believed.
struct NaiveWatch: Sendable {
    enum Check: Hashable, Sendable {
        /// The head is signed by the pinned key.
        case key
        /// The head is this tunnel's.
        case tunnel
        /// The entries are the head's.
        case root
        /// The log goes on from what was seen.
        case memory
        /// Each entry follows from those before it.
        case rules
        /// Authorities that callers believe go back to the connector's own.
        case trust
        /// Connector keys are pinned.
        case keys
    }

    let scene: RegistrationScene
    let without: Set<Check>

    /// Whether calls go on under what is told, and it is not what was known before.
    func believes(_ told: Told) -> Bool { believes(told.more, told.now) || believes(told.whole, told.now) }

    private func checks(_ check: Check) -> Bool { !without.contains(check) }

    private func believes(_ answer: RegistrationAnswer, _ now: Int) -> Bool {
        let (head, watch) = (answer.head, scene.watch)
        guard let known = watch.head, head != known else { return false }
        if checks(.tunnel), head.tunnelID != watch.pins.tunnelID { return false }
        if checks(.key), (try? head.verify(tunnelID: head.tunnelID, by: watch.pins.logKey)) == nil { return false }
        let all = answer.since == 0 ? answer.entries : watch.entries + answer.entries
        if checks(.root), all.count != head.size || Self.root(all) != head.root { return false }
        let goesOn = head.size >= known.size && head.time >= known.time && Self.root(Array(all.prefix(known.size))) == known.root
        if checks(.memory), !goesOn { return false }
        // Without rules there is nothing that trust could be judged by.
        guard checks(.rules) else { return !checks(.trust) }
        guard let entries = try? all.map({ bytes throws(RegistrationError) in try RegistrationEntry(bytes) }),
            let ledger = try? RegistrationLedger(tunnelID: watch.pins.tunnelID, all)
        else { return false }
        if entries.dropFirst(known.size).contains(where: { $0.at < known.time - RegistrationWatch.skew }) { return false }
        let trust = RegistrationTrust(roots: [scene.own.fingerprint])
        if checks(.trust), !trust.unknown(in: ledger, at: now).isEmpty { return false }
        return !checks(.keys) || ledger.connectorKeys.isSubset(of: [RegistrationScene.connectorKey])
    }

    private static func root(_ entries: [[UInt8]]) -> MerkleTree.Hash { MerkleTree.root(entries.map { MerkleTree.leaf($0) }) }
}
