import Crypto
import NIOCore
import PosternPolicy
import Testing

@testable import PosternEgress

/// The login: the published example of SCRAM-SHA-256, and servers that do not deserve the password.
@Suite struct ForwardPostgresScramTests {
    /// RFC 7677, section 3; PostgreSQL leaves the user name empty, so the messages differ by it.
    @Test func theSaltedPasswordIsThatOfTheRFC() throws {
        // RFC 7677 gives no intermediate values; RFC 7914, section 11, gives PBKDF2-HMAC-SHA-256.
        let one = SCRAMClient.saltedPassword(Array("passwd".utf8), salt: Array("salt".utf8), rounds: 1)
        #expect(one.prefix(8).elementsEqual([0x55, 0xAC, 0x04, 0x6E, 0x56, 0xE3, 0x08, 0x9F]))
        let many = SCRAMClient.saltedPassword(Array("Password".utf8), salt: Array("NaCl".utf8), rounds: 80_000)
        #expect(many.prefix(8).elementsEqual([0x4D, 0xDC, 0xD8, 0xF6, 0x0B, 0x98, 0xBE, 0x21]))
    }

    private static let nonce = "rOprNGfwEbeRWgbNEkqO"
    private static let serverFirst = "r=\(nonce)%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

    private static func client(_ binding: SCRAMClient.Binding = .unsupported) -> SCRAMClient {
        SCRAMClient(password: SecretValue("pencil"), nonce: nonce, binding: binding)
    }

    @Test func aServerMustKnowThePasswordToo() throws {
        var client = Self.client()
        let answer = try client.answer(serverFirst: Self.serverFirst)
        #expect(answer.hasPrefix("c=biws,r=\(Self.nonce)%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="))
        for lie in ["", "v=", "v=AAAA", "e=other-error", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="] {
            #expect(throws: SCRAMError.self, "\(lie)") { try client.check(serverFinal: lie) }
        }
        #expect(!client.isServerProven)
        // The proof as a server with the password makes it.
        try client.check(serverFinal: Self.serverFinal(for: answer))
        #expect(client.isServerProven)
    }

    @Test(arguments: [
        "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=\(nonce),s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=\(nonce)x,s=,i=4096",
        "r=\(nonce)x,s=!,i=4096",
        "r=\(nonce)x,s=W22Z,i=4095", "r=\(nonce)x,s=W22Z,i=1", "r=\(nonce)x,s=W22Z,i=99999999", "r=\(nonce)x,s=W22Z,i=-5",
        "m=ext,r=\(nonce)x,s=W22Z,i=4096", "",
    ])
    func firstMessagesThatLieAreRefused(_ message: String) {
        var client = Self.client()
        #expect(throws: SCRAMError.self) { try client.answer(serverFirst: message) }
    }

    @Test func theBindingIsInTheProof() throws {
        var bound = Self.client(.endPoint([1, 2, 3]))
        #expect(bound.mechanism == "SCRAM-SHA-256-PLUS" && bound.clientFirst.hasPrefix("p=tls-server-end-point,,"))
        let answer = try bound.answer(serverFirst: Self.serverFirst)
        let sent = answer.dropFirst(2).prefix { $0 != "," }
        #expect(Base64.decode(sent.utf8) == Array("p=tls-server-end-point,,".utf8) + [1, 2, 3])
        #expect(Self.client(.notOffered).clientFirst.hasPrefix("y,,"))
    }

    // MARK: The login machine

    private static func request(_ code: UInt32, _ text: String = "") -> ByteBuffer {
        PostgresMessage.make(UInt8(ascii: "R")) {
            $0.writeInteger(code)
            $0.writeString(text)
        }
    }

    private static func login(_ endPoint: [UInt8]? = nil, password: String? = "pencil") -> PostgresLogin {
        PostgresLogin(role: "app", password: password.map { SecretValue($0) }, endPoint: endPoint, nonce: nonce)
    }

    private static let authentication = UInt8(ascii: "R")

    @Test func aWholeLogin() throws {
        var login = Self.login()
        guard case .send(let first)? = try login.receive(Self.authentication, Self.request(10, "SCRAM-SHA-256\0\0")) else {
            return #expect(Bool(false))
        }
        #expect(String(buffer: first).contains("SCRAM-SHA-256\0") && String(buffer: first).hasSuffix("n,,n=,r=\(Self.nonce)"))
        guard case .send(let proof)? = try login.receive(Self.authentication, Self.request(11, Self.serverFirst)) else { return #expect(Bool(false)) }
        let answer = String(decoding: proof.readableBytesView.dropFirst(5), as: UTF8.self)
        #expect(try login.receive(Self.authentication, Self.request(12, Self.serverFinal(for: answer))) == nil)
        #expect(try login.receive(Self.authentication, Self.request(0)) == .done)
    }

    @Test func theBindingIsUsedWhereItIsOffered() throws {
        var login = Self.login([9])
        guard case .send(let first)? = try login.receive(Self.authentication, Self.request(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")) else {
            return #expect(Bool(false))
        }
        #expect(String(buffer: first).contains("SCRAM-SHA-256-PLUS\0") && String(buffer: first).contains("p=tls-server-end-point,,"))
        // A man in the middle who takes the offer away is told on by the "y".
        var stripped = Self.login([9])
        guard case .send(let second)? = try stripped.receive(Self.authentication, Self.request(10, "SCRAM-SHA-256\0\0")) else {
            return #expect(Bool(false))
        }
        #expect(String(buffer: second).contains("y,,n=,r="))
    }

    @Test func aConsentBeforeTheProofIsRefused() throws {
        var login = Self.login()
        #expect(throws: PostgresRefusal.self) { try login.receive(Self.authentication, Self.request(0)) }
        login = Self.login()
        _ = try login.receive(Self.authentication, Self.request(10, "SCRAM-SHA-256\0\0"))
        #expect(throws: PostgresRefusal.self) { try login.receive(Self.authentication, Self.request(0)) }
        login = Self.login()
        _ = try login.receive(Self.authentication, Self.request(10, "SCRAM-SHA-256\0\0"))
        _ = try login.receive(Self.authentication, Self.request(11, Self.serverFirst))
        #expect(throws: PostgresRefusal.self) { try login.receive(Self.authentication, Self.request(0)) }
        var open = Self.login(password: nil)
        #expect(try open.receive(Self.authentication, Self.request(0)) == .done)
    }

    @Test func everyOtherWayToAskIsRefusedAndGetsNothing() throws {
        for code in [1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 99] as [UInt32] {
            var login = Self.login()
            #expect(throws: PostgresRefusal.self, "code \(code)") { try login.receive(Self.authentication, Self.request(code, "salt")) }
        }
        for type in "SKZTDC".utf8 {
            var login = Self.login()
            #expect(throws: PostgresRefusal.self) { try login.receive(type, PostgresMessage.make(type) { $0.writeString("x") }) }
        }
        var chatty = Self.login()
        #expect(throws: PostgresRefusal.self) {
            for _ in 0..<1_000 { _ = try chatty.receive(UInt8(ascii: "N"), PostgresMessage.make(UInt8(ascii: "N")) { _ in }) }
        }
    }

    /// The server-final-message by RFC 5802, section 3, computed from the messages alone.
    private static func serverFinal(for answer: String) -> String {
        let clientFirstBare = "n=,r=\(nonce)"
        let withoutProof = answer.split(separator: ",").dropLast().joined(separator: ",")
        let salted = SCRAMClient.saltedPassword(Array("pencil".utf8), salt: Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ==".utf8) ?? [], rounds: 4_096)
        let message = Array("\(clientFirstBare),\(serverFirst),\(withoutProof)".utf8)
        let key = Array(HMAC<SHA256>.authenticationCode(for: Array("Server Key".utf8), using: SymmetricKey(data: salted)))
        let signature = Array(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key)))
        return "v=" + String(decoding: Base64.encode(signature), as: UTF8.self)
    }
}
