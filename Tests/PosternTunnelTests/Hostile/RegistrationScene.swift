import Crypto
import Foundation
import PosternConnector
import PosternJSON
import PosternTunnelWire
import SwiftASN1
import X509

/// A tunnel's log of registrations, a connector that has seen it, and what a forger has: keys of his own, and an authority that he wants callers to
/// be given.
struct RegistrationScene: Sendable {
    static let tunnel = TunnelWorld.tunnelID
    /// The fingerprint of the connector's own key.
    static let connectorKey = "own"

    let logKey = P256.Signing.PrivateKey()
    let own: Authority
    let stranger: Authority
    /// Now, and when the connector has seen its head: long after the last entry, so that there is room for one that is dated back.
    let now: Int
    let seen: Int
    let log: [[UInt8]]
    /// Has seen `log`.
    let watch: RegistrationWatch

    struct Authority: Sendable {
        let entry: RegistrationEntry.Authority
        let keyPEM: String
        let made: ConnectorCertificates.Made
        var fingerprint: String { entry.fingerprint }

        init() throws {
            made = try ConnectorCertificates.authority(domain: TunnelWorld.domain, now: Date())
            keyPEM = made.keyPEM
            entry = .init(fingerprint: try ConnectorCertificates.fingerprint(certificatePEM: made.certificatePEM), pem: made.certificatePEM)
        }

        /// Of the key that signs its statements.
        var keyFingerprint: String {
            get throws { KeyFingerprint.of(try Certificate.PrivateKey(pemEncoded: keyPEM).publicKey) }
        }

        func statement(
            _ subject: String, at time: Int, _ purpose: RegistrationStatement.Purpose = .certificate, tunnel: String = RegistrationScene.tunnel
        ) throws -> RegistrationStatement {
            try .sign(tunnelID: tunnel, purpose: purpose, subject: subject, time: time, keyPEM: keyPEM)
        }
    }

    init() throws {
        (own, stranger) = (try Authority(), try Authority())
        now = Int(Date().timeIntervalSince1970)
        seen = now - 10
        let start = now - 200_000
        log = [
            Self.entry(.tunnel(.signed, certificates: [], connectorKeys: []), at: start),
            Self.entry(.certificateAdded(own.entry, countsAt: start + 1, nil), at: start + 1),
            Self.entry(.connectorKeyEnrolled(fingerprint: Self.connectorKey), at: start + 2),
        ]
        let server = try ConnectorCertificates.server(domain: TunnelWorld.domain, authority: own.made, now: Date())
        var watch = RegistrationWatch(
            .init(
                tunnelID: Self.tunnel, logKey: logKey.publicKey, server: try Certificate(pemEncoded: server.certificatePEM), ownerKey: nil,
                connectorKey: Self.connectorKey, knownKeys: [], staleAfter: 86_400), began: start)
        _ = try watch.take(try RegistrationAnswer(log: log, tunnelID: Self.tunnel, since: 0, time: seen, key: logKey), now: seen)
        self.watch = watch
    }

    /// When the last entry was made.
    var last: Int { now - 200_000 + 2 }

    static func entry(_ kind: RegistrationEntry.Kind, at time: Int, tunnel: String = tunnel) -> [UInt8] {
        RegistrationEntry(tunnelID: tunnel, at: time, kind).encoded
    }

    /// The stranger's authority, without a word of anybody.
    func added(_ statement: RegistrationStatement? = nil, at time: Int, countsAt: Int? = nil) -> [UInt8] {
        Self.entry(.certificateAdded(stranger.entry, countsAt: countsAt ?? time, statement), at: time)
    }

    /// What a control plane with this log would say, to who knows `since` entries and to who knows none.
    func told(_ log: [[UInt8]], at time: Int? = nil, by key: P256.Signing.PrivateKey? = nil, tunnel: String = tunnel) throws -> Told {
        let (time, key) = (time ?? now, key ?? logKey)
        return Told(
            more: try RegistrationAnswer(log: log, tunnelID: tunnel, since: self.log.count, time: time, key: key),
            whole: try RegistrationAnswer(log: log, tunnelID: tunnel, since: 0, time: time, key: key), now: max(now, time))
    }
}

/// What comes to the connector instead of the truth.
struct Told: Sendable {
    var more: RegistrationAnswer
    var whole: RegistrationAnswer
    /// The connector's clock.
    var now: Int

    /// The same change of both.
    func changed(_ change: (inout RegistrationAnswer) -> Void) -> Told {
        var told = self
        change(&told.more)
        change(&told.whole)
        return told
    }
}
