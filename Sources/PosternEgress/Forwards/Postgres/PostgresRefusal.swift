import NIOCore
import PosternPolicy

/// Why a session through a PostgreSQL forward is not begun or not continued. The client sees it as an ErrorResponse, the audit as a reason.
package struct PostgresRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// SQLSTATE (PostgreSQL documentation, appendix A).
    package var code: String
    /// Names the rule and the value; one line.
    package var message: String
    /// What may be done about it; may be empty.
    package var hint: String

    package init(code: String, message: String, hint: String = "") {
        self.code = code
        self.message = message
        self.hint = hint
    }

    package var description: String { hint.isEmpty ? message : "\(message) (\(hint))" }

    static func protocolViolation(_ what: String) -> PostgresRefusal {
        PostgresRefusal(code: "08P01", message: "postern: protocol violation: \(what)")
    }

    static func tooLarge(type: UInt8, length: Int, limit: Int) -> PostgresRefusal {
        PostgresRefusal(
            code: "54000", message: "postern: a statement of \(length) bytes is larger than the \(limit) that a forward records",
            hint: "send data as parameters or by COPY, or raise the forward's statement limit in the policy")
    }

    /// The upstream could not be reached, or is not who it should be.
    static func unreachable(_ what: String, hint: String = "") -> PostgresRefusal {
        PostgresRefusal(code: "08001", message: "postern: \(what)", hint: hint)
    }

    /// The upstream did not let the forward in.
    static func login(_ what: String, hint: String = "") -> PostgresRefusal {
        PostgresRefusal(code: "28000", message: "postern: \(what)", hint: hint)
    }

    /// The refusal as a message of the server that ends the session.
    var errorResponse: ByteBuffer {
        PostgresMessage.make(UInt8(ascii: "E")) { buffer in
            var fields: [(Character, String)] = [("S", "FATAL"), ("V", "FATAL"), ("C", code), ("M", message)]
            if !hint.isEmpty { fields.append(("H", hint)) }
            for (key, value) in fields {
                buffer.writeString(String(key))
                buffer.writeNullTerminatedString(value.filter { $0 != "\0" })
            }
            buffer.writeInteger(UInt8(0))
        }
    }

    /// Reads an ErrorResponse of the upstream: its SQLSTATE and primary message, made printable.
    static func reading(errorResponse message: ByteBuffer) -> (code: String, text: String) {
        var body = message
        body.moveReaderIndex(forwardBy: min(PostgresFrames.headLength, body.readableBytes))
        var (code, text) = ("XX000", "an error without text")
        while let key: UInt8 = body.readInteger(), key != 0, let value = body.readNullTerminatedString() {
            if key == UInt8(ascii: "C") { code = value }
            if key == UInt8(ascii: "M") { text = printable(value) }
        }
        let isState = code.utf8.count == 5 && code.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }
        return (isState ? code : "XX000", text)
    }
}
