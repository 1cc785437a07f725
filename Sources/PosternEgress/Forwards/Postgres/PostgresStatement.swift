import Crypto
import NIOCore

/// What the audit learns of a statement before it runs.
package struct PostgresStatement: Hashable, Sendable {
    package enum Kind: String, Sendable {
        /// `Query`: the simple protocol; may hold several statements.
        case query
        /// `Parse`: the text of a prepared statement; it may run any number of times after.
        case parse
        /// `FunctionCall`: the old fast path, by the function's number.
        case function
    }

    package var kind: Kind
    /// The first word of the text in upper case, comments skipped; empty when there is none. For a function call its number.
    package var keyword: String
    /// Bytes of the text.
    package var size: Int
    /// HMAC-SHA-256 of the text under the audit's key, in hex: equal texts have equal digests, and a guess cannot be checked without the key.
    package var digest: String
    /// The text itself, only where the policy asks for it.
    package var text: String?
}

/// Makes statements of a client's messages.
struct PostgresStatementReader: Sendable {
    private let key: SymmetricKey
    private let keepsText: Bool

    /// The types of message that are statements.
    static let types: Set<UInt8> = [UInt8(ascii: "Q"), UInt8(ascii: "P"), UInt8(ascii: "F")]

    init(digestKey: [UInt8], keepsText: Bool) {
        key = SymmetricKey(data: digestKey)
        self.keepsText = keepsText
    }

    /// The statement of a whole message, whose form is checked: what the database would read differently is refused here.
    func statement(of message: ByteBuffer, type: UInt8) throws(PostgresRefusal) -> PostgresStatement {
        var body = message
        body.moveReaderIndex(forwardBy: PostgresFrames.headLength)
        switch type {
        case UInt8(ascii: "Q"):
            let text = try Self.text(&body, "Query")
            guard body.readableBytes == 0 else { throw .protocolViolation("a Query with bytes behind its text") }
            return make(.query, text)
        case UInt8(ascii: "P"):
            _ = try Self.text(&body, "Parse")
            return make(.parse, try Self.text(&body, "Parse"))
        default:
            guard let function: UInt32 = body.readInteger() else { throw .protocolViolation("a FunctionCall without a function") }
            let call = Array(message.readableBytesView.dropFirst(PostgresFrames.headLength))
            return PostgresStatement(kind: .function, keyword: "\(function)", size: call.count, digest: digest(call), text: nil)
        }
    }

    private static func text(_ body: inout ByteBuffer, _ name: String) throws(PostgresRefusal) -> [UInt8] {
        guard let end = body.readableBytesView.firstIndex(of: 0) else { throw .protocolViolation("a \(name) whose text does not end") }
        let bytes = Array(body.readableBytesView[..<end])
        body.moveReaderIndex(forwardBy: bytes.count + 1)
        return bytes
    }

    private func make(_ kind: PostgresStatement.Kind, _ text: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            kind: kind, keyword: Self.keyword(text), size: text.count, digest: digest(text),
            text: keepsText ? String(decoding: text, as: UTF8.self) : nil)
    }

    private func digest(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let code = HMAC<SHA256>.authenticationCode(for: bytes, using: key)
        return String(decoding: code.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The first word of a statement: white space, `--` comments, nested `/* */` comments, `(` and `;` before it are skipped.
    static func keyword(_ text: [UInt8]) -> String {
        var index = 0
        func byte(_ offset: Int) -> UInt8? { index + offset < text.count ? text[index + offset] : nil }
        scan: while let first = byte(0) {
            switch (first, byte(1)) {
            case (UInt8(ascii: " "), _), (0x09...0x0D, _), (UInt8(ascii: "("), _), (UInt8(ascii: ";"), _): index += 1
            case (UInt8(ascii: "-"), UInt8(ascii: "-")):
                while let next = byte(0), next != 0x0A, next != 0x0D { _ = next; index += 1 }
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                var depth = 0
                repeat {
                    if byte(0) == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "*") {
                        depth += 1
                        index += 2
                    } else if byte(0) == UInt8(ascii: "*"), byte(1) == UInt8(ascii: "/") {
                        depth -= 1
                        index += 2
                    } else {
                        index += 1
                    }
                } while depth > 0 && index < text.count
            default: break scan
            }
        }
        let word = text[min(index, text.count)...].prefix(32).prefix { (0x41...0x5A).contains($0 & ~0x20) || $0 == UInt8(ascii: "_") }
        return String(decoding: word, as: UTF8.self).uppercased()
    }
}
