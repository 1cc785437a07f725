import Crypto
import Foundation
import PosternTunnelWire
import SwiftASN1
import X509

/// A control plane's log that a test writes entry by entry: honest where it keeps `at`, and else whatever the test makes of it.
struct RegistrationLogBuilder {
    static let tunnel = "tnl_1"
    static let start = 1_800_000_000

    let logKey = P256.Signing.PrivateKey()
    var entries: [[UInt8]] = []

    struct Authority {
        let key: Certificate.PrivateKey
        let certificate: Certificate
        let entry: RegistrationEntry.Authority
        var fingerprint: String { entry.fingerprint }

        init(_ key: Certificate.PrivateKey = .init(P256.Signing.PrivateKey()), algorithm: Certificate.SignatureAlgorithm = .ecdsaWithSHA256) throws {
            self.key = key
            certificate = try Forge(now: Date(timeIntervalSince1970: TimeInterval(RegistrationLogBuilder.start)))
                .authority(key: key, algorithm: algorithm).certificate
            let pem = try certificate.serializeAsPEM()
            entry = .init(fingerprint: Hexadecimal.text(SHA256.hash(data: pem.derBytes)), pem: pem.pemString)
        }

        /// A server's certificate that it has signed.
        func server() throws -> Certificate {
            let signer = Forge.Signer(name: certificate.subject, key: key, certificate: certificate)
            return try Forge(now: Date(timeIntervalSince1970: TimeInterval(RegistrationLogBuilder.start))).leaf(by: signer, extensions: [])
        }

        func statement(
            for subject: String, _ purpose: RegistrationStatement.Purpose = .certificate, at time: Int, tunnel: String = RegistrationLogBuilder.tunnel
        ) throws -> RegistrationStatement {
            try .sign(tunnelID: tunnel, purpose: purpose, subject: subject, time: time, with: key)
        }
    }

    mutating func append(_ kind: RegistrationEntry.Kind, at seconds: Int) {
        entries.append(RegistrationEntry(tunnelID: Self.tunnel, at: Self.start + seconds, kind).encoded)
    }

    mutating func begin(_ mode: RegistrationMode = .signed, certificates: [Authority] = [], keys: [String] = []) {
        append(.tunnel(mode, certificates: certificates.map(\.entry), connectorKeys: keys), at: 0)
    }

    mutating func add(_ authority: Authority, at seconds: Int, countsAt: Int? = nil, _ statement: RegistrationStatement? = nil) {
        append(.certificateAdded(authority.entry, countsAt: Self.start + (countsAt ?? seconds), statement), at: seconds)
    }

    func answer(since: Int, at seconds: Int, by key: P256.Signing.PrivateKey? = nil, tunnel: String = Self.tunnel) throws -> RegistrationAnswer {
        try RegistrationAnswer(log: entries, tunnelID: tunnel, since: since, time: Self.start + seconds, key: key ?? logKey)
    }

    func watch(
        server: Certificate?, ownerKey: String? = nil, knownKeys: Set<String>? = nil, staleAfter: Int = 86_400
    ) -> RegistrationWatch {
        RegistrationWatch(
            .init(
                tunnelID: Self.tunnel, logKey: logKey.publicKey, server: server, ownerKey: ownerKey, connectorKey: "own", knownKeys: knownKeys,
                staleAfter: staleAfter), began: Self.start)
    }
}

extension RegistrationWatch {
    /// Asks the log as a connector does.
    mutating func ask(_ log: RegistrationLogBuilder, at seconds: Int) throws -> Outcome {
        let now = RegistrationLogBuilder.start + seconds
        let outcome = try take(try log.answer(since: since, at: seconds), now: now)
        return outcome == .needsWhole ? try take(try log.answer(since: 0, at: seconds), now: now) : outcome
    }

    func reason(at seconds: Int) -> RegistrationRefusal.Reason? { refusal(now: RegistrationLogBuilder.start + seconds)?.reason }
}
