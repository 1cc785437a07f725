/// Which of a ledger's authorities go back to what a connector knows by itself: statements are followed from there, and nothing else counts.
package struct RegistrationTrust: Sendable {
    /// What the operator has said: fingerprints of authorities and owner keys, and `api` for a loosening that nobody signed for.
    package var roots: Set<String>

    package init(roots: Set<String>) { self.roots = roots }

    /// Authorities that callers believe at `time` and that are none of those known here.
    package func unknown(in ledger: RegistrationLedger, at time: Int) -> [RegistrationLedger.Authority] {
        let known = knownKeys(of: ledger)
        return ledger.authorities.filter { $0.counts(at: time) && !isKnown($0.fingerprint, $0.basis, known) }
    }

    /// Keys whose statements are believed, archived authorities' included: what they signed for stays what it was.
    private func knownKeys(of ledger: RegistrationLedger) -> Set<String> {
        var known: Set<String> = []
        while true {
            let before = known.count
            for authority in ledger.authorities where isKnown(authority.fingerprint, authority.basis, known) {
                known.insert(authority.keyFingerprint)
            }
            for owner in ledger.ownerKeys where isKnown(owner.fingerprint, owner.basis, known) { known.insert(owner.fingerprint) }
            // Each round adds a key or is the last.
            if known.count == before { return known }
        }
    }

    private func isKnown(_ fingerprint: String, _ basis: RegistrationLedger.Basis, _ known: Set<String>) -> Bool {
        if roots.contains(fingerprint) { return true }
        switch basis {
        case .imported: return true
        case .statement(let key): return known.contains(key)
        case .open(let mode): return isKnown(RegistrationMode.api.rawValue, mode, known)
        // The first one is whoever came first: it is known where it is one's own, and not for being first.
        case .first, .wait, .narrowing: return false
        }
    }
}
