import NIOCore

/// Logs in at the upstream: everything between the StartupMessage and the server's consent. A value without I/O.
///
/// SCRAM-SHA-256 only: cleartext and MD5 would hand the password, or what is as good as it, to whoever answers. A server that asks for
/// nothing is accepted only where no password is configured.
struct PostgresLogin: Sendable {
    enum Action: Equatable {
        case send(ByteBuffer)
        /// The session may begin.
        case done
    }

    private enum Phase {
        case waiting
        case sentFirst(SCRAMClient)
        case sentProof(SCRAMClient)
        case done
    }

    /// The bytes of a login are few; a server that sends more is not one.
    static let longestMessage = 64 << 10
    private static let mostMessages = 100

    private let password: SecretValue?
    /// Hash of the upstream's certificate for the channel binding; `nil` without TLS or where it is not defined.
    private let endPoint: [UInt8]?
    private let nonce: String
    private let role: String
    private var phase = Phase.waiting
    private var count = 0

    init(role: String, password: SecretValue?, endPoint: [UInt8]?, nonce: String) {
        self.role = role
        self.password = password
        self.endPoint = endPoint
        self.nonce = nonce
    }

    /// Takes one message of the server, head included.
    mutating func receive(_ type: UInt8, _ message: ByteBuffer) throws(PostgresRefusal) -> Action? {
        count += 1
        guard count <= Self.mostMessages else { throw .login("the database sends messages without end instead of a login") }
        switch type {
        case UInt8(ascii: "R"):
            var body = message
            body.moveReaderIndex(forwardBy: PostgresFrames.headLength)
            guard let code: UInt32 = body.readInteger() else { throw .protocolViolation("an authentication request without a code") }
            return try authentication(code, &body)
        case UInt8(ascii: "E"):
            let (code, text) = PostgresRefusal.reading(errorResponse: message)
            throw PostgresRefusal(code: code, message: "postern: the database refused the forward's login: \(text)")
        case UInt8(ascii: "N"): return nil
        default: throw .protocolViolation("the database sent a message of type \(PostgresFrames.name(type)) before the login was done")
        }
    }

    private mutating func authentication(_ code: UInt32, _ body: inout ByteBuffer) throws(PostgresRefusal) -> Action? {
        do {
            switch (code, phase) {
            case (10, .waiting): return .send(try first(offered: &body))
            case (11, .sentFirst(var scram)):
                let proof = try scram.answer(serverFirst: body.readString(length: body.readableBytes) ?? "")
                phase = .sentProof(scram)
                return .send(PostgresMessage.make(UInt8(ascii: "p")) { $0.writeString(proof) })
            case (12, .sentProof(var scram)):
                try scram.check(serverFinal: body.readString(length: body.readableBytes) ?? "")
                phase = .sentProof(scram)
                return nil
            case (0, .sentProof(let scram)) where scram.isServerProven:
                phase = .done
                return .done
            case (0, .waiting) where password == nil:
                phase = .done
                return .done
            case (0, .waiting):
                throw PostgresRefusal.login(
                    "the database let role \"\(role)\" in without asking for its password, so nothing proves who it is",
                    hint: "require scram-sha-256 in pg_hba.conf, or remove the password from the forward")
            case (0, _): throw SCRAMError("it did not prove that it knows the password")
            case (3, _), (5, _):
                throw PostgresRefusal.login(
                    "the database asks for \(code == 3 ? "a cleartext" : "an MD5") password; only scram-sha-256 is answered",
                    hint: "set password_encryption = scram-sha-256, set the role's password again, and require it in pg_hba.conf")
            default: throw PostgresRefusal.login("the database asks for an authentication (code \(code)) that the forward does not have")
            }
        } catch let error as SCRAMError {
            throw .login("the database is not trusted: \(error.text)")
        } catch let refusal as PostgresRefusal {
            throw refusal
        } catch {
            throw .login("the login failed")
        }
    }

    private mutating func first(offered body: inout ByteBuffer) throws(PostgresRefusal) -> ByteBuffer {
        var offered: [String] = []
        while let name = body.readNullTerminatedString(), !name.isEmpty { offered.append(name) }
        guard let password else {
            throw .login("the database asks for the password of role \"\(role)\" and the forward has none", hint: "name a secret in the policy")
        }
        let binding: SCRAMClient.Binding
        switch endPoint {
        case let hash? where offered.contains("SCRAM-SHA-256-PLUS"): binding = .endPoint(hash)
        case .some: binding = .notOffered
        case nil: binding = .unsupported
        }
        let scram = SCRAMClient(password: password, nonce: nonce, binding: binding)
        guard offered.contains(scram.mechanism) else { throw .login("the database offers no SCRAM-SHA-256") }
        phase = .sentFirst(scram)
        return PostgresMessage.make(UInt8(ascii: "p")) { buffer in
            buffer.writeNullTerminatedString(scram.mechanism)
            let message = scram.clientFirst
            buffer.writeInteger(UInt32(message.utf8.count))
            buffer.writeString(message)
        }
    }
}
