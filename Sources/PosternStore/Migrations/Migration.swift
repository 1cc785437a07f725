import Crypto

/// One step of the schema's history: portable statements with the dialect's places marked.
struct Migration: Sendable {
    let version: Int
    let name: String
    let statements: [String]

    /// SHA-256 of the marked text in hexadecimal: equal for every database.
    var checksum: String {
        var hash = SHA256()
        for statement in statements { hash.update(data: Array(statement.utf8) + [0]) }
        return hash.finalize().map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
    }
}
