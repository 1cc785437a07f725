import Crypto

/// The client of SCRAM-SHA-256 (RFC 5802, RFC 7677), with the channel binding `tls-server-end-point` (RFC 5929, section 4) where TLS
/// gives one. A value without I/O.
///
/// The user name is left empty, as PostgreSQL takes it from the StartupMessage. Passwords outside ASCII must be in the form that SASLprep
/// (RFC 4013) gives them, which composed text nearly always is.
struct SCRAMClient: Sendable {
    /// What the client knows of the channel.
    enum Binding: Equatable, Sendable {
        /// No TLS, or a certificate for which the binding is not defined: `n`.
        case unsupported
        /// The client could bind, the server did not offer it: `y`. A server that did offer it then knows of a man in the middle.
        case notOffered
        /// Bound to the hash of the server's certificate: `p`.
        case endPoint([UInt8])
    }

    /// Rounds of PBKDF2 that are accepted: RFC 7677 asks for 4096 at least; the bound above keeps a server from burning this process's time.
    static let rounds = 4_096...600_000

    private let password: SecretValue
    private let binding: Binding
    private let clientFirstBare: String
    private let nonce: String
    private var serverSignature: [UInt8] = []
    private var isProven = false

    /// `nonce` is fresh, printable ASCII without commas, 18 random bytes in base64 at least.
    init(password: SecretValue, nonce: String, binding: Binding) {
        self.password = password
        self.binding = binding
        self.nonce = nonce
        clientFirstBare = "n=,r=\(nonce)"
    }

    /// Whether the server has proven that it knows the password too.
    var isServerProven: Bool { isProven }

    var mechanism: String {
        if case .endPoint = binding { "SCRAM-SHA-256-PLUS" } else { "SCRAM-SHA-256" }
    }

    private var header: String {
        switch binding {
        case .unsupported: "n,,"
        case .notOffered: "y,,"
        case .endPoint: "p=tls-server-end-point,,"
        }
    }

    var clientFirst: String { header + clientFirstBare }

    /// The client-final-message: the proof that the client knows the password.
    mutating func answer(serverFirst: String) throws(SCRAMError) -> String {
        let fields = serverFirst.split(separator: ",", omittingEmptySubsequences: false)
        // `m=` at the front is a mandatory extension that nobody has defined (RFC 5802, section 5.1).
        guard fields.count >= 3, fields[0].hasPrefix("r="), fields[1].hasPrefix("s="), fields[2].hasPrefix("i=") else {
            throw SCRAMError("its first SCRAM message is not understood")
        }
        let combined = fields[0].dropFirst(2)
        guard combined.hasPrefix(nonce), combined.utf8.count > nonce.utf8.count else { throw SCRAMError("its nonce does not continue ours") }
        guard let salt = Base64.decode(fields[1].dropFirst(2).utf8), !salt.isEmpty else { throw SCRAMError("its salt is no base64") }
        guard let rounds = Int(fields[2].dropFirst(2)), Self.rounds.contains(rounds) else {
            throw SCRAMError("it asks for \(fields[2].dropFirst(2).prefix(12)) rounds; \(Self.rounds) are accepted")
        }
        var bound = Array(header.utf8)
        if case .endPoint(let hash) = binding { bound += hash }
        let withoutProof = "c=\(Self.base64(bound)),r=\(combined)"
        let message = Array("\(clientFirstBare),\(serverFirst),\(withoutProof)".utf8)

        let salted = Self.saltedPassword(password.bytes, salt: salt, rounds: rounds)
        let clientKey = Self.hmac(salted, Array("Client Key".utf8))
        let signature = Self.hmac(Array(SHA256.hash(data: clientKey)), message)
        serverSignature = Self.hmac(Self.hmac(salted, Array("Server Key".utf8)), message)
        return "\(withoutProof),p=\(Self.base64(zip(clientKey, signature).map { $0 ^ $1 }))"
    }

    /// Checks that the server knows the password. Anything else ends the login.
    mutating func check(serverFinal: String) throws(SCRAMError) {
        guard serverFinal.hasPrefix("v="), let value = serverFinal.dropFirst(2).split(separator: ",").first, let claimed = Base64.decode(value.utf8)
        else {
            throw SCRAMError("it did not prove that it knows the password")
        }
        guard !serverSignature.isEmpty, equalInConstantTime(claimed, serverSignature) else {
            throw SCRAMError("its proof that it knows the password is wrong")
        }
        isProven = true
    }

    static func base64(_ bytes: [UInt8]) -> String { String(decoding: Base64.encode(bytes), as: UTF8.self) }

    private static func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key)))
    }

    /// `Hi` of RFC 5802, section 2.2: PBKDF2 with one block.
    static func saltedPassword(_ password: [UInt8], salt: [UInt8], rounds: Int) -> [UInt8] {
        let keyed = HMAC<SHA256>(key: SymmetricKey(data: password))
        func round(_ data: [UInt8]) -> [UInt8] {
            var code = keyed
            code.update(data: data)
            return Array(code.finalize())
        }
        var last = round(salt + [0, 0, 0, 1])
        var sum = last
        for _ in 1..<rounds {
            last = round(last)
            for index in sum.indices { sum[index] ^= last[index] }
        }
        return sum
    }
}

/// What a server did wrong, as the end of a sentence about it. Holds nothing secret.
struct SCRAMError: Error, Equatable {
    var text: String
    init(_ text: String) { self.text = text }
}
