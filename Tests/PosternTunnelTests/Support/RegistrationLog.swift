import Crypto
import Foundation
import PosternConnector
import PosternJSON
import PosternTunnelWire
import Synchronization

/// The control plane's log, as the test makes it.
final class RegistrationLog: Sendable {
    private struct State {
        var entries: [[UInt8]] = []
        var offset = 0
        /// What the edge makes of an answer.
        var twist: @Sendable (RegistrationAnswer) throws -> RegistrationAnswer = { $0 }
    }
    private let state = Mutex(State())
    let key = P256.Signing.PrivateKey()

    func append(_ kind: RegistrationEntry.Kind) {
        state.withLock { $0.entries.append(RegistrationEntry(tunnelID: TunnelWorld.tunnelID, at: Self.now + $0.offset, kind).encoded) }
    }

    func change(_ body: (inout [[UInt8]]) -> Void) { state.withLock { body(&$0.entries) } }
    func pass(_ seconds: Int) { state.withLock { $0.offset += seconds } }
    func twist(_ twist: @escaping @Sendable (RegistrationAnswer) throws -> RegistrationAnswer) { state.withLock { $0.twist = twist } }
    var date: Date { Date(timeIntervalSince1970: TimeInterval(Self.now + state.withLock { $0.offset })) }
    static var now: Int { Int(Date().timeIntervalSince1970) }

    func answer(_ since: Int) throws -> JSON {
        let (entries, offset, twist) = state.withLock { ($0.entries, $0.offset, $0.twist) }
        return try twist(
            RegistrationAnswer(log: entries, tunnelID: TunnelWorld.tunnelID, since: since, time: Self.now + offset, key: key)
        ).json
    }

    static func authority(_ pem: String) throws -> RegistrationEntry.Authority {
        .init(fingerprint: try ConnectorCertificates.fingerprint(certificatePEM: pem), pem: pem)
    }
}
