import Crypto
import PosternJSON
import SwiftASN1
import X509

/// Server certificates that a connector shows, or has shown since it started, and the authorities of the tunnel's log that have signed them. A value.
package struct ShownServers: Sendable {
    /// Certificates that are remembered: those that were shown last.
    private static let most = 8

    private var servers: [(fingerprint: String, certificate: Certificate)] = []
    /// By the certificates' fingerprints: found when the log grows, since calls ask often.
    private var signers: [String: Set<String>] = [:]

    init() {}

    /// By which certificates are told apart here: hex of a SHA-256 of what they are in DER.
    package static func fingerprint(of server: Certificate) -> String {
        let der = (try? server.serializeAsPEM().derBytes) ?? Array(server.tbsCertificateBytes)
        return Hexadecimal.text(SHA256.hash(data: der))
    }

    /// The connector shows this one from now on. Calls may still run on those before.
    mutating func add(_ server: Certificate, _ ledger: RegistrationLedger) {
        let fingerprint = Self.fingerprint(of: server)
        servers.removeAll { $0.fingerprint == fingerprint }
        servers = servers.suffix(Self.most - 1) + [(fingerprint, server)]
        find(in: ledger)
    }

    /// Looks for the authorities that have signed them.
    mutating func find(in ledger: RegistrationLedger) {
        signers = [:]
        for (fingerprint, server) in servers {
            signers[fingerprint] = Set(ledger.authorities.filter { $0.key.isValidSignature(server.signature, for: server) }.map(\.fingerprint))
        }
    }

    /// Fingerprints of the authorities that have signed one of them.
    var authorities: Set<String> { Set(signers.values.joined()) }

    /// Whether all authorities that have signed this certificate were archived. One that nobody has registered callers refuse by themselves.
    func isArchived(_ fingerprint: String, _ ledger: RegistrationLedger) -> Bool {
        guard let signers = signers[fingerprint], !signers.isEmpty else { return false }
        return !ledger.authorities.contains { $0.archivedAt == nil && signers.contains($0.fingerprint) }
    }
}
