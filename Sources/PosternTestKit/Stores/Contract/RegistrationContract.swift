import ManagedAgentsAPI
import PosternCore

/// Changes with the next entry of the log, as a service makes them: again where somebody else was first.
extension TunnelStore {
    private func logged<Value>(
        _ tunnelID: String, _ entry: String, _ change: (RegistrationAppend) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        while true {
            let log = try await registrations(tunnelID: tunnelID, from: 0, limit: 1000)
            do throws(StoreError) {
                return try await change(RegistrationAppend(position: log.count, entry: Array(entry.utf8)))
            } catch .duplicate(let what) where what == "registrations" {
                continue
            } catch {
                throw error
            }
        }
    }

    func create(_ tunnel: TunnelRecord, mostLive: Int) async throws(StoreError) {
        try await create(tunnel, mostLive: mostLive, first: Array("tunnel".utf8))
    }

    func archiveTunnel(_ id: String, at time: Timestamp) async throws(StoreError) {
        try await logged(id, "archived") { (append) async throws(StoreError) in try await archiveTunnel(id, at: time, logging: append) }
    }

    func create(_ certificate: TunnelCertificateRecord, mostLive: Int) async throws(StoreError) {
        try await logged(certificate.tunnelID, "added \(certificate.fingerprint)") { (append) async throws(StoreError) in
            try await create(certificate, mostLive: mostLive, logging: append)
        }
    }

    func archiveTunnelCertificate(_ id: String, at time: Timestamp) async throws(StoreError) {
        let certificate = try await tunnelCertificate(id)
        try await logged(certificate?.tunnelID ?? "", "archived \(certificate?.fingerprint ?? "")") { (append) async throws(StoreError) in
            try await archiveTunnelCertificate(id, at: time, logging: append)
        }
    }

    func enrol(_ key: ConnectorKeyRecord, mostLive: Int) async throws(StoreError) {
        try await logged(key.tunnelID, "enrolled \(key.fingerprint)") { (append) async throws(StoreError) in
            try await enrol(key, mostLive: mostLive, logging: append)
        }
    }

    func revokeConnectorKey(_ fingerprint: String, tunnelID: String, at time: Timestamp) async throws(StoreError) -> Bool {
        try await logged(tunnelID, "revoked \(fingerprint)") { (append) async throws(StoreError) in
            try await revokeConnectorKey(fingerprint, tunnelID: tunnelID, at: time, logging: append)
        }
    }
}

extension StoreContract {
    private typealias Make = StoreFixtures

    private static func log(_ store: any Store, _ tunnelID: String = "tnl_a") async throws -> [String] {
        try await store.registrations(tunnelID: tunnelID, from: 0, limit: 1000).map { String(decoding: $0, as: UTF8.self) }
    }

    static let registrationCases: [Case] = [
        Case("a change and its entry are stored together, or neither") { store in
            try await store.create(tunnel("a"), mostLive: 9)
            try await store.create(tunnel("b"), mostLive: 9)
            try await store.create(certificate("tcrt_1", "f1"), mostLive: 2)
            try await store.enrol(key("k1"), mostLive: 2)
            _ = try await store.revokeConnectorKey("k1", tunnelID: "tnl_a", at: Make.time(1))
            try await store.archiveTunnelCertificate("tcrt_1", at: Make.time(1))
            let before = ["tunnel", "added f1", "enrolled k1", "revoked k1", "archived f1"]
            try equal(try await log(store), before)
            try equal(try await log(store, "tnl_b"), ["tunnel"])
            // What changes nothing is in no log.
            _ = try await store.revokeConnectorKey("k1", tunnelID: "tnl_a", at: Make.time(2))
            try await store.archiveTunnelCertificate("tcrt_1", at: Make.time(2))
            try await refused(.duplicate("fingerprint")) { () async throws(StoreError) in try await store.enrol(key("k1"), mostLive: 2) }
            try await refused(.duplicate("domain")) { () async throws(StoreError) in
                var twin = tunnel("c")
                twin.domain = "a.tunnel.example.com"
                try await store.create(twin, mostLive: 9)
            }
            try equal(try await log(store), before)
            try equal(try await log(store, "tnl_c"), [])
            try await store.archiveTunnel("tnl_a", at: Make.time(3))
            try await store.archiveTunnel("tnl_a", at: Make.time(4))
            try equal(try await log(store), before + ["archived"])
        },
        Case("an entry goes to the place that it was made for, or nothing happens") { store in
            try await store.create(tunnel("a"), mostLive: 9)
            for position in [0, 2, 7] {
                let append = RegistrationAppend(position: position, entry: [1])
                try await refused(.duplicate("registrations")) { () async throws(StoreError) in
                    try await store.create(certificate("tcrt_1", "f1"), mostLive: 2, logging: append)
                }
                try await refused(.duplicate("registrations")) { () async throws(StoreError) in
                    try await store.enrol(key("k1"), mostLive: 2, logging: append)
                }
                try await refused(.duplicate("registrations")) { () async throws(StoreError) in
                    try await store.archiveTunnel("tnl_a", at: Make.time(1), logging: append)
                }
                try await refused(.duplicate("registrations")) { () async throws(StoreError) in try await store.log(append, tunnelID: "tnl_a") }
            }
            try expect(try await store.tunnelCertificate("tcrt_1") == nil, "a certificate without its entry")
            try expect(try await store.connectorKey("k1", tunnelID: "tnl_a") == nil, "a key without its entry")
            try expect(try await store.tunnel("tnl_a")?.archivedAt == nil, "an archived tunnel without its entry")
            try equal(try await log(store), ["tunnel"])
            // Every other reason comes first.
            try await refused(.conflict) { () async throws(StoreError) in
                try await store.log(RegistrationAppend(position: 7, entry: [1]), tunnelID: "tnl_z")
            }
            try await store.log(RegistrationAppend(position: 1, entry: Array("said".utf8)), tunnelID: "tnl_a")
            try equal(try await log(store), ["tunnel", "said"])
            try equal(try await store.registrations(tunnelID: "tnl_a", from: 1, limit: 9), [Array("said".utf8)])
            try equal(try await store.registrations(tunnelID: "tnl_a", from: 0, limit: 1), [Array("tunnel".utf8)])
            try await store.archiveTunnel("tnl_a", at: Make.time(1))
            try await refused(.conflict) { () async throws(StoreError) in
                try await store.log(RegistrationAppend(position: 3, entry: [1]), tunnelID: "tnl_a")
            }
        },
        Case("a log has no gaps and nothing twice when many write at once") { store in
            try await store.create(tunnel("a"), mostLive: 9)
            await withTaskGroup(of: Void.self) { group in
                for index in 0..<16 { group.addTask { try? await store.enrol(key("k\(index)"), mostLive: 16) } }
            }
            try equal(try await log(store).sorted(), (["tunnel"] + (0..<16).map { "enrolled k\($0)" }).sorted())
        },
    ]
}
