import Foundation
import NIOCore
import NIOSSL
import PosternConnector
import PosternTLS
import PosternTunnelWire

// The edge ends a call's TLS itself.
extension Attack {
    private static func impersonation(
        _ name: String, _ error: String, _ weakness: Weakness = Weakness(client: NaiveClient()),
        _ context: @escaping @Sendable (Stage) -> NIOSSLContext
    ) -> Attack {
        Attack(name, runtime: [error], weakness: weakness) { stage, _ in
            let context = context(stage)
            stage.edge.set { try await $0.impersonate($1, with: context) }
            return [await stage.call()]
        }
    }

    private static let unknown = "inner TLS: the connector's certificate is refused: \(CertificateRuleError.unknownAuthority)"
    private static let unsigned = "inner TLS: the connector's certificate is refused: \(CertificateRuleError.notSignedByAuthority)"

    static let certificates: [Attack] = [
        impersonation("own CA", unknown) { $0.forgery.own },
        impersonation("own CA with the registered one's name and key identifier", unsigned) { $0.forgery.namesake },
        publicCertificate,
        impersonation("certificate by another tunnel's CA", unknown) { $0.forgery.byForeignTunnel },
        impersonation("certificate by the runtimes' authority", unknown) { $0.forgery.byRuntimeAuthority },
        impersonation("chain through the connector's own certificate", unsigned) { $0.forgery.throughLeaf },
        impersonation("another tunnel's name", "\(CertificateRuleError.otherName(Call.host))") { $0.forgery.otherName },
        impersonation("stale server certificate: ended", "\(CertificateRuleError.expired)") { $0.forgery.expired },
        // The real runtime, with a clock that is eleven hours fast.
        impersonation(
            "stale server certificate: not begun", "\(CertificateRuleError.notYetValid)", Weakness(runtimeClock: Forgery.early + 3600)
        ) { $0.forgery.notYetValid },
        impersonation(
            "downgrade: TLS 1.2 with the connector's own certificate", "inner TLS: the other side speaks no TLS 1.3",
            Weakness(client: NaiveClient(oldest: .tlsv12))
        ) { $0.forgery.oldTLS },
        impersonation(
            "downgrade: no protocol by ALPN", "inner TLS: the other side did not agree on HTTP/1.1 (ALPN)",
        ) { $0.forgery.otherProtocol },
        Attack("downgrade: no inner TLS", runtime: ["inner TLS: the other side speaks no TLS 1.3"], weakness: .plain) { stage, _ in
            stage.edge.set { edge, client in
                edge.strike()
                try await edge.forge(client)
            }
            return [await stage.call()]
        },
        helloDowngrade,
    ]

    /// Against a caller that takes what its machine's store trusts, beside the tunnel's own authority.
    private static let publicCertificate = Attack(
        "public certificate", expected: { _ in .init(runtime: [unknown]) },
        weakness: { _ in Weakness(client: NaiveClient(trust: .roots([]))) }
    ) { stage, _, _ in
        var stage = stage
        if stage.weakness != nil {
            stage.weakness?.client = NaiveClient(trust: .roots([stage.world.tunnelAuthority.certificatePEM, stage.forgery.publicAuthority]))
        }
        let context = stage.forgery.byPublic
        stage.edge.set { try await $0.impersonate($1, with: context) }
        return [await stage.call()]
    }

    /// The ClientHello goes on without its `supported_versions`, so that the connector would take it for TLS 1.2. Plain ends have no versions: for
    /// them the words of the request stand for it, of which one is changed.
    private static let helloDowngrade = Attack(
        "downgrade: ClientHello without TLS 1.3", runtime: ["inner TLS: the other side speaks no TLS 1.3"], connector: ["handshake_failed"],
        reason: ["UNSUPPORTED_PROTOCOL"], weakness: .plain
    ) { stage, _ in
        let isPlain = stage.weakness != nil
        stage.edge.set { edge, client in try await edge.relay(client, tap: VersionTap(edge, isPlain: isPlain)) }
        return [await stage.call()]
    }
}

/// Takes TLS 1.3 out of the first bytes from the caller.
private actor VersionTap: Tap {
    private let edge: HostileEdge
    private let isPlain: Bool
    private var isDone = false

    init(_ edge: HostileEdge, isPlain: Bool) { (self.edge, self.isPlain) = (edge, isPlain) }

    func pass(_ bytes: ByteBuffer, _ direction: Direction) -> Passing {
        guard direction == .toConnector, !isDone else { return Passing(pieces: [bytes]) }
        isDone = true
        var hello = Array(bytes.readableBytesView)
        if isPlain {
            hello[hello.count - 1] ^= 1
        } else {
            // Extension 43 (RFC 8446, section 4.2.1) becomes one that nobody knows.
            for index in hello.indices.dropLast(5) where hello[index...].starts(with: [0, 43, 0]) && hello[index + 3] == hello[index + 4] &+ 1 {
                hello[index] = 0xFA
                hello[index + 1] = 0xCE
                break
            }
        }
        edge.strike()
        return Passing(pieces: [ByteBuffer(bytes: hello)])
    }
}

// The edge calls the connector itself, or has the names of calls wrong.
extension Attack {
    static let callers: [Attack] = [
        intrusion("foreign tenant: its own workspace's certificate", [.otherAuthority, .notSigned], Weakness(connector: true)) { stage in
            let theirs = try authority("wrkspc_2")
            return try .init(.init(tunnelID: "tnl_2", workspaceID: "wrkspc_2", client: "test"), authority: theirs)
        },
        intrusion("foreign tenant: an authority of the same name, and the victim's names", [.otherAuthority, .notSigned], Weakness(connector: true)) {
            _ in
            let theirs = try authority(TunnelWorld.workspaceID)
            return try .init(
                .init(tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, client: "test"), authority: theirs)
        },
        intrusion("foreign tenant: the right authority, another tunnel", [.otherTunnel("tnl_2")], Weakness(connector: true)) { stage in
            try stage.world.runtime { $0.tunnelID = "tnl_2" }
        },
        intrusion("foreign tenant: the right authority, another workspace", [.otherWorkspace("wrkspc_2")], Weakness(connector: true)) { stage in
            try stage.world.runtime { $0.workspaceID = "wrkspc_2" }
        },
        // The real connector, with a clock that is five minutes slow or fast.
        intrusion("stale runtime certificate: ended", [.expired], Weakness(connectorClock: -300)) { try $0.world.runtime(from: -600, until: -60) },
        intrusion("stale runtime certificate: not begun", [.notYetValid], Weakness(connectorClock: 300)) {
            try $0.world.runtime(from: 60, until: 600)
        },
        Attack("no certificate", connector: ["no_certificate"], weakness: Weakness(connector: true)) { stage, _ in
            stage.edge.set { try await $0.relay($1) }
            return [await stage.intrude(.none)]
        },
    ]

    private static func authority(_ workspace: String) throws -> RuntimeAuthority {
        try RuntimeAuthority.make(workspaceID: workspace, notBefore: Date() - 60, notAfter: Date() + 3600)
    }

    private static func intrusion(
        _ name: String, _ errors: [RuntimeCertificateError], _ weakness: Weakness,
        _ caller: @escaping @Sendable (Stage) throws -> TunnelWorld.Caller
    ) -> Attack {
        Attack(name, connector: ["certificate_refused"], reason: errors.map(\.description), weakness: weakness) { stage, _ in
            stage.edge.set { try await $0.relay($1) }
            return [await stage.intrude(try caller(stage))]
        }
    }

    static let names: [Attack] = [
        Attack(
            "name swap: another route", runtime: ["inner TLS: the edge says that there is no such tunnel"], connector: ["server_name"],
            weakness: Weakness(connector: true)
        ) { stage, _ in
            stage.edge.set { edge, client in
                edge.strike()
                try await edge.relay(client, to: "other.\(TunnelWorld.domain)")
            }
            return [await stage.call()]
        },
        Attack(
            "name swap: another tunnel's domain", runtime: ["inner TLS: "], connector: ["no_route"], weakness: Weakness(connector: true)
        ) { stage, _ in
            stage.edge.set { edge, client in
                edge.strike()
                try await edge.relay(client, to: "docs.zz99zz99.tunnel.example.com")
            }
            return [await stage.call()]
        },
    ]
}
