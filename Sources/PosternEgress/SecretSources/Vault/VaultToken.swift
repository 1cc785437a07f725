/// The life of a login at Vault: when to log in, to renew, to use. A value without I/O; times in seconds of a monotonic clock.
struct VaultToken: Sendable {
    enum Step: Equatable {
        /// Take the token from its file, or log in by AppRole.
        case obtain
        /// Ask for more time for this token. It may still be used when that fails.
        case renew(SecretValue)
        case use(SecretValue)
    }

    private struct Held {
        var token: VaultAnswer.Token
        var renewal: Double
        var end: Double?
        var mayRenew: Bool
    }
    private var held: Held?

    /// What is to be done before a request at `now`.
    func next(now: Double) -> Step {
        guard let held, held.end.map({ now < $0 }) ?? true else { return .obtain }
        if held.end != nil, now >= held.renewal { return held.mayRenew ? .renew(held.token.value) : .obtain }
        return .use(held.token.value)
    }

    /// A login or a renewal gave `token`. Two thirds of its time later it is due again.
    mutating func obtained(_ token: VaultAnswer.Token, now: Double) {
        held = Held(
            token: token, renewal: now + (token.lease ?? 0) * 2 / 3, end: token.lease.map { now + $0 },
            // A token at its maximum comes back with next to no time: then a new one is needed.
            mayRenew: token.isRenewable && (token.lease ?? 0) >= 10)
    }

    /// The renewal was refused: a new login is needed.
    mutating func renewalFailed() { held?.mayRenew = false }

    /// Vault denied a request made with `token`. Returns whether a new login may help: only once for a token that is still the held one.
    mutating func denied(_ token: SecretValue) -> Bool {
        guard held?.token.value == token else { return held != nil }
        held = nil
        return true
    }
}
