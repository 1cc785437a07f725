import ManagedAgentsAPI
import PosternCore

extension StoreContract {
    private typealias Make = StoreFixtures

    static func tunnel(_ name: String, workspace: String = "wrkspc_1", at second: Int = 0) -> TunnelRecord {
        TunnelRecord(
            id: "tnl_" + name, workspaceID: workspace, displayName: name == "plain" ? nil : "The tunnel " + name,
            domain: name + ".tunnel.example.com", tokenID: "ttok_" + name, createdAt: Make.time(second))
    }

    static func certificate(_ id: String, _ fingerprint: String, of tunnel: String = "tnl_a", at second: Int = 0) -> TunnelCertificateRecord {
        TunnelCertificateRecord(
            id: id, tunnelID: tunnel, fingerprint: fingerprint, pem: "PEM of " + fingerprint, createdAt: Make.time(second),
            expiresAt: Make.time(second + 9))
    }

    static func key(_ fingerprint: String, of tunnel: String = "tnl_a", token: String = "ttok_a", at second: Int = 0) -> ConnectorKeyRecord {
        ConnectorKeyRecord(fingerprint: fingerprint, tunnelID: tunnel, tokenID: token, enrolledAt: Make.time(second))
    }

    private static func refuse(_ error: StoreError, line: UInt = #line, _ body: () async throws(StoreError) -> Void) async throws {
        try await refused(error, line: line, body)
    }

    /// Runs `action` and looks whether it raised the revision, which was `last`.
    private static func change(
        _ what: String, raises: Bool, _ store: any Store, _ last: inout Int, _ action: () async throws -> Void
    ) async throws {
        try await action()
        let revision = try await store.liveTunnels().revision
        try expect(raises ? revision > last : revision == last, "\(what): revision \(last) became \(revision)")
        last = revision
    }

    static let tunnelCases: [Case] = [
        Case("a tunnel's domain is its own for ever") { store in
            try expect(!(try await store.hasSealed()), "an empty store holds something sealed")
            let first = tunnel("a")
            try await store.create(first, mostLive: 9)
            try equal(try await store.tunnel("tnl_a"), first)
            try expect(try await store.hasSealed(), "nothing sealed")
            try expect(try await store.tunnel("tnl_b") == nil, "an unknown tunnel")
            try equal(try await store.tunnel(domain: first.domain), first)
            try expect(try await store.tunnel(domain: "tunnel.example.com") == nil, "a domain of no tunnel")
            try equal(try await store.tunnelToken("ttok_a"), TunnelTokenRecord(id: "ttok_a", tunnelID: "tnl_a", createdAt: Make.time(0)))
            var twin = tunnel("b", workspace: "wrkspc_2")
            twin.domain = first.domain
            let taken = twin
            try await refuse(.duplicate("domain")) { () async throws(StoreError) in try await store.create(taken, mostLive: 9) }
            try await refuse(.conflict) { () async throws(StoreError) in
                var again = tunnel("c")
                again.id = "tnl_a"
                try await store.create(again, mostLive: 9)
            }
            try await store.archiveTunnel("tnl_a", at: Make.time(1))
            try await refuse(.duplicate("domain")) { () async throws(StoreError) in try await store.create(taken, mostLive: 9) }
            let (half, token) = (try await store.tunnel("tnl_b"), try await store.tunnelToken("ttok_b"))
            try expect(half == nil && token == nil, "half a tunnel is stored")
        },
        Case("a workspace has so many tunnels and no more") { store in
            try await store.create(tunnel("a"), mostLive: 2)
            try await store.create(tunnel("b"), mostLive: 2)
            try await store.create(tunnel("c", workspace: "wrkspc_2"), mostLive: 2)
            try await refuse(.conflict) { () async throws(StoreError) in try await store.create(tunnel("d"), mostLive: 2) }
            try await store.archiveTunnel("tnl_a", at: Make.time(1))
            try await store.create(tunnel("d"), mostLive: 2)
        },
        Case("tunnels list newest first") { store in
            for index in 0..<5 { try await store.create(tunnel("n\(index)", at: index), mostLive: 9) }
            try await store.create(tunnel("other", workspace: "wrkspc_2"), mostLive: 9)
            try await store.archiveTunnel("tnl_n2", at: Make.time(9))
            let pages = try await walk { try await store.tunnels(workspaceID: "wrkspc_1", includeArchived: false, from: $0, limit: 3) }
            try equal(pages.map { $0.map(\.id) }, [["tnl_n4", "tnl_n3", "tnl_n1"], ["tnl_n0"]])
            try equal(try await store.tunnels(workspaceID: "wrkspc_1", includeArchived: true, from: nil, limit: 9).elements.count, 5)
        },
        Case("archiving a tunnel takes all that it had with it, once") { store in
            try await store.create(tunnel("a"), mostLive: 9)
            try await store.create(tunnel("b"), mostLive: 9)
            try await store.create(certificate("tcrt_1", "f1"), mostLive: 2)
            try await store.create(certificate("tcrt_2", "f1", of: "tnl_b"), mostLive: 2)
            try await store.enrol(key("k1"), mostLive: 2)
            try await store.enrol(key("k2", of: "tnl_b", token: "ttok_b"), mostLive: 2)
            try await store.archiveTunnel("tnl_a", at: Make.time(1))
            try await store.archiveTunnel("tnl_a", at: Make.time(2))
            try await store.archiveTunnel("tnl_z", at: Make.time(2))
            try equal(try await store.tunnel("tnl_a")?.archivedAt, Make.time(1))
            try equal(try await store.tunnelCertificate("tcrt_1")?.archivedAt, Make.time(1))
            try equal(try await store.connectorKey("k1", tunnelID: "tnl_a")?.revokedAt, Make.time(1))
            try expect(try await store.tunnelCertificate("tcrt_2")?.archivedAt == nil, "another tunnel's certificate")
            try expect(try await store.connectorKey("k2", tunnelID: "tnl_b")?.revokedAt == nil, "another tunnel's key")
            try await refuse(.conflict) { () async throws(StoreError) in try await store.changeTunnel("tnl_a", splice: true, hidesRoutes: true) }
            try await refuse(.conflict) { () async throws(StoreError) in try await store.create(certificate("tcrt_3", "f3"), mostLive: 2) }
            try await refuse(.conflict) { () async throws(StoreError) in try await store.enrol(key("k3"), mostLive: 2) }
            try await refuse(.conflict) { () async throws(StoreError) in
                try await store.rotateToken(
                    "ttok_a", to: TunnelTokenRecord(id: "ttok_a2", tunnelID: "tnl_a", createdAt: Make.time(3)), reason: nil)
            }
        },
        Case("a rotated token stays known") { store in
            try await store.create(tunnel("a"), mostLive: 9)
            let second = TunnelTokenRecord(id: "ttok_a2", tunnelID: "tnl_a", createdAt: Make.time(3))
            try await store.rotateToken("ttok_a", to: second, reason: "leaked")
            try equal(try await store.tunnel("tnl_a")?.tokenID, "ttok_a2")
            try equal(try await store.tunnelToken("ttok_a2"), second)
            try equal(
                try await store.tunnelToken("ttok_a"),
                TunnelTokenRecord(id: "ttok_a", tunnelID: "tnl_a", createdAt: Make.time(0), rotatedAt: Make.time(3), reason: "leaked"))
            try await refuse(.conflict) { () async throws(StoreError) in
                try await store.rotateToken(
                    "ttok_a", to: TunnelTokenRecord(id: "ttok_a3", tunnelID: "tnl_a", createdAt: Make.time(4)), reason: nil)
            }
            try expect(try await store.tunnelToken("ttok_a3") == nil, "a refused token is stored")
            // A key that the old token would enrol now.
            try await refuse(.conflict) { () async throws(StoreError) in try await store.enrol(key("k1"), mostLive: 2) }
            try await store.enrol(key("k1", token: "ttok_a2"), mostLive: 2)
        },
        Case("a tunnel has so many certificates and no more, each once") { store in
            try await store.create(tunnel("a"), mostLive: 9)
            let first = certificate("tcrt_1", "f1", at: 1)
            try await store.create(first, mostLive: 2)
            try equal(try await store.tunnelCertificate("tcrt_1"), first)
            try await refuse(.duplicate("fingerprint")) { () async throws(StoreError) in
                try await store.create(certificate("tcrt_9", "f1"), mostLive: 2)
            }
            try await store.create(certificate("tcrt_2", "f2", at: 2), mostLive: 2)
            try await refuse(.conflict) { () async throws(StoreError) in try await store.create(certificate("tcrt_3", "f3"), mostLive: 2) }
            try await refuse(.duplicate("fingerprint")) { () async throws(StoreError) in
                try await store.create(certificate("tcrt_9", "f2"), mostLive: 2)
            }
            try await refuse(.conflict) { () async throws(StoreError) in
                try await store.create(certificate("tcrt_4", "f4", of: "tnl_z"), mostLive: 2)
            }
            try await store.archiveTunnelCertificate("tcrt_1", at: Make.time(5))
            try await store.archiveTunnelCertificate("tcrt_1", at: Make.time(6))
            try equal(try await store.tunnelCertificate("tcrt_1")?.archivedAt, Make.time(5))
            // The same one may come back as another record.
            try await store.create(certificate("tcrt_5", "f1", at: 5), mostLive: 2)
            let pages = try await walk { try await store.tunnelCertificates(tunnelID: "tnl_a", includeArchived: true, from: $0, limit: 2) }
            try equal(pages.map { $0.map(\.id) }, [["tcrt_5", "tcrt_2"], ["tcrt_1"]])
            let live = try await store.tunnelCertificates(tunnelID: "tnl_a", includeArchived: false, from: nil, limit: 9)
            try equal(live.elements.map(\.id), ["tcrt_5", "tcrt_2"])
        },
        Case("a connector key serves one tunnel until it is revoked, and that for good") { store in
            try await store.create(tunnel("a"), mostLive: 9)
            try await store.create(tunnel("b"), mostLive: 9)
            try await store.enrol(key("k1", at: 1), mostLive: 2)
            try equal(try await store.connectorKey("k1", tunnelID: "tnl_a"), key("k1", at: 1))
            try expect(try await store.connectorKey("k1", tunnelID: "tnl_b") == nil, "another tunnel's key")
            try await refuse(.duplicate("fingerprint")) { () async throws(StoreError) in try await store.enrol(key("k1"), mostLive: 2) }
            try await refuse(.duplicate("fingerprint")) { () async throws(StoreError) in
                try await store.enrol(key("k1", of: "tnl_b", token: "ttok_b"), mostLive: 2)
            }
            try await refuse(.conflict) { () async throws(StoreError) in try await store.enrol(key("k9", token: "ttok_b"), mostLive: 2) }
            try await store.enrol(key("k2", at: 2), mostLive: 2)
            try await refuse(.conflict) { () async throws(StoreError) in try await store.enrol(key("k3"), mostLive: 2) }
            // What is known is said to be known even where nothing more fits.
            try await refuse(.duplicate("fingerprint")) { () async throws(StoreError) in try await store.enrol(key("k2"), mostLive: 2) }
            try expect(!(try await store.revokeConnectorKey("k1", tunnelID: "tnl_b", at: Make.time(3))), "another tunnel revokes it")
            try expect(try await store.revokeConnectorKey("k1", tunnelID: "tnl_a", at: Make.time(3)), "not revoked")
            try expect(!(try await store.revokeConnectorKey("k1", tunnelID: "tnl_a", at: Make.time(4))), "revoked twice")
            try equal(try await store.connectorKey("k1", tunnelID: "tnl_a")?.revokedAt, Make.time(3))
            try await refuse(.duplicate("fingerprint")) { () async throws(StoreError) in try await store.enrol(key("k1"), mostLive: 2) }
            try await store.enrol(key("k1", of: "tnl_b", token: "ttok_b"), mostLive: 2)
            try await store.enrol(key("k3", at: 3), mostLive: 2)
            try equal(try await store.connectorKeys(tunnelID: "tnl_a", limit: 9).map(\.fingerprint), ["k3", "k2", "k1"])
            try equal(try await store.connectorKeys(tunnelID: "tnl_a", limit: 1).map(\.fingerprint), ["k3"])
        },
        Case("edges see what lives, and each change raises the revision") { store in
            try equal(try await store.liveTunnels(), LiveTunnels(revision: 0, tunnels: []))
            var last = 0
            try await change("a tunnel", raises: true, store, &last) { try await store.create(tunnel("b"), mostLive: 9) }
            try await change("a tunnel", raises: true, store, &last) { try await store.create(tunnel("a", workspace: "wrkspc_2"), mostLive: 9) }
            try await change("splicing", raises: true, store, &last) { try await store.changeTunnel("tnl_a", splice: true, hidesRoutes: nil) }
            try await change("ids of routes", raises: false, store, &last) { try await store.changeTunnel("tnl_a", splice: nil, hidesRoutes: true) }
            try equal(try await store.tunnel("tnl_a")?.hidesRoutes, true)
            try equal(try await store.tunnel("tnl_a")?.splice, true)
            try equal(try await store.tunnel("tnl_b")?.hidesRoutes, false)
            for name in ["k2", "k1", "k3"] { try await change("a key", raises: true, store, &last) { try await store.enrol(key(name), mostLive: 9) } }
            try await change("a revoked key", raises: true, store, &last) {
                _ = try await store.revokeConnectorKey("k3", tunnelID: "tnl_a", at: Make.time(1))
            }
            try await change("a key revoked twice", raises: false, store, &last) {
                _ = try await store.revokeConnectorKey("k3", tunnelID: "tnl_a", at: Make.time(2))
            }
            try await change("a token", raises: true, store, &last) {
                try await store.rotateToken(
                    "ttok_b", to: TunnelTokenRecord(id: "ttok_b2", tunnelID: "tnl_b", createdAt: Make.time(1)), reason: nil)
            }
            try equal(
                try await store.liveTunnels().tunnels,
                [
                    .init(
                        id: "tnl_a", domain: "a.tunnel.example.com", workspaceID: "wrkspc_2", splice: true, connectorKeys: ["k1", "k2"],
                        registrations: 5),
                    .init(id: "tnl_b", domain: "b.tunnel.example.com", workspaceID: "wrkspc_1", splice: false, connectorKeys: [], registrations: 1),
                ])
            try await change("a certificate", raises: true, store, &last) {
                try await store.create(certificate("tcrt_1", "f1", of: "tnl_b"), mostLive: 2)
            }
            try await change("an archived certificate", raises: true, store, &last) {
                try await store.archiveTunnelCertificate("tcrt_1", at: Make.time(1))
            }
            try equal(try await store.liveTunnels().tunnels.last?.registrations, 3)
            try await change("a runtime authority", raises: true, store, &last) {
                for workspace in ["wrkspc_2", "wrkspc_3"] {
                    try await store.create(
                        RuntimeAuthorityRecord(
                            workspaceID: workspace, certificatePEM: "PEM of " + workspace, sealedKey: [1], createdAt: Make.time(1)))
                }
            }
            try equal(try await store.liveTunnels().authorities, ["wrkspc_2": "PEM of wrkspc_2"])
            try await change("an archived tunnel", raises: true, store, &last) { try await store.archiveTunnel("tnl_a", at: Make.time(1)) }
            try await change("a tunnel archived twice", raises: false, store, &last) { try await store.archiveTunnel("tnl_a", at: Make.time(1)) }
            try equal(try await store.liveTunnels().tunnels.map(\.id), ["tnl_b"])
            try equal(try await store.liveTunnels().authorities, [:])
        },
        Case("bounds hold when many write at once") { store in
            func succeeded(_ action: @escaping @Sendable (Int) async throws -> Void) async -> Int {
                await withTaskGroup(of: Bool.self) { group in
                    for index in 0..<20 {
                        group.addTask {
                            do {
                                try await action(index)
                                return true
                            } catch { return false }
                        }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
            }
            try equal(await succeeded { try await store.create(tunnel("t\($0)"), mostLive: 5) }, 5)
            try await store.create(tunnel("a"), mostLive: 99)
            try equal(await succeeded { try await store.create(certificate("tcrt_\($0)", "f\($0)"), mostLive: 2) }, 2)
            try equal(await succeeded { try await store.enrol(key("k\($0)"), mostLive: 16) }, 16)
            let rotations = await succeeded {
                let new = TunnelTokenRecord(id: "ttok_n\($0)", tunnelID: "tnl_a", createdAt: Make.time(1))
                try await store.rotateToken("ttok_a", to: new, reason: nil)
            }
            try equal(rotations, 1)
        },
        Case("a workspace has one runtime authority") { store in
            try expect(try await store.runtimeAuthority(workspaceID: "wrkspc_1") == nil, "made by nobody")
            let authority = RuntimeAuthorityRecord(
                workspaceID: "wrkspc_1", certificatePEM: "PEM", sealedKey: [0, 255, 7], createdAt: Make.time(1))
            try await store.create(authority)
            try equal(try await store.runtimeAuthority(workspaceID: "wrkspc_1"), authority)
            try await refuse(.conflict) { () async throws(StoreError) in try await store.create(authority) }
            try expect(try await store.runtimeAuthority(workspaceID: "wrkspc_2") == nil, "another workspace's")
            try expect(try await store.hasSealed(), "nothing sealed")
        },
    ]
}
