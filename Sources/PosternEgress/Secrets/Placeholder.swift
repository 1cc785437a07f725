/// What stands for a secret inside a sandbox: as long as the secret, of the same shape, and random.
package enum Placeholder {
    /// A secret with fewer letters and digits to replace cannot be told apart from other text.
    package static let leastRandom = 8
    /// Bytes of a secret at most: longer ones cannot be matched in bounded memory.
    package static let mostBytes = 4096

    /// Beginnings that say what kind of secret it is. Tools look at them, and they give nothing away.
    private static let knownBeginnings = [
        "sk-ant-api03-", "sk-ant-oat01-", "sk-ant-admin01-", "sk-ant-", "sk-proj-", "sk-or-v1-", "sk_live_", "sk_test_", "rk_live_", "pk_live_",
        "sk-",
        "github_pat_", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "glpat-", "glptt-", "xoxb-", "xoxp-", "xapp-", "AKIA", "ASIA", "AIza", "ya29.", "hf_",
        "npm_", "pypi-", "dop_v1_", "SG.", "shpat_", "lin_api_", "figd_", "hvs.", "dckr_pat_", "nvapi-", "gsk_", "r8_",
    ]

    /// Each letter becomes another letter of its case, each digit a digit, and everything else stays. `nil` for a secret that is too short,
    /// too long, or holds a byte that a header cannot carry.
    package static func make(for secret: SecretValue, using random: inout some RandomNumberGenerator) -> String? {
        let bytes = secret.bytes
        guard bytes.count <= mostBytes, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        let kept = knownBeginnings.first { bytes.starts(with: $0.utf8) && bytes.count - $0.utf8.count >= 2 * leastRandom }?.utf8.count ?? 0
        guard bytes.dropFirst(kept).filter(isReplaced).count >= leastRandom else { return nil }
        // By chance the placeholder could be the secret; then its parts would match each other.
        for _ in 0..<8 {
            let placeholder = bytes.enumerated().map { $0 < kept ? $1 : replacement(of: $1, using: &random) }
            if placeholder != bytes { return String(decoding: placeholder, as: UTF8.self) }
        }
        return nil
    }

    static func isReplaced(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        default: false
        }
    }

    private static func replacement(of byte: UInt8, using random: inout some RandomNumberGenerator) -> UInt8 {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt8.random(in: UInt8(ascii: "0")...UInt8(ascii: "9"), using: &random)
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "z"), using: &random)
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt8.random(in: UInt8(ascii: "A")...UInt8(ascii: "Z"), using: &random)
        default: byte
        }
    }
}
