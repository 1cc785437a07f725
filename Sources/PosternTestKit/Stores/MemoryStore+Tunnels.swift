import ManagedAgentsAPI
import PosternCore

extension MemoryStore: TunnelStore {
    package func create(_ tunnel: TunnelRecord, mostLive: Int, first entry: [UInt8]) async throws(StoreError) {
        try with { state throws(StoreError) in
            let live = state.tunnels.values.count { $0.workspaceID == tunnel.workspaceID && $0.archivedAt == nil }
            guard live < mostLive, state.tunnels[tunnel.id] == nil, state.tunnelTokens[tunnel.tokenID] == nil else { throw .conflict }
            guard !state.tunnels.values.contains(where: { $0.domain == tunnel.domain }) else { throw .duplicate("domain") }
            state.tunnels[tunnel.id] = tunnel
            state.registrations[tunnel.id] = [entry]
            state.tunnelTokens[tunnel.tokenID] = TunnelTokenRecord(id: tunnel.tokenID, tunnelID: tunnel.id, createdAt: tunnel.createdAt)
            state.tunnelRevision += 1
        }
    }

    package func tunnel(_ id: String) async throws(StoreError) -> TunnelRecord? {
        try with { state throws(StoreError) in state.tunnels[id] }
    }

    package func tunnel(domain: String) async throws(StoreError) -> TunnelRecord? {
        try with { state throws(StoreError) in state.tunnels.values.first { $0.domain == domain } }
    }

    package func tunnels(
        workspaceID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<TunnelRecord> {
        try with { state throws(StoreError) in
            let found = state.tunnels.values.filter { $0.workspaceID == workspaceID && (includeArchived || $0.archivedAt == nil) }
            return Self.pageByTime(found, from: from, limit: limit) { ($0.createdAt, $0.id) }
        }
    }

    package func archiveTunnel(_ id: String, at time: Timestamp, logging append: RegistrationAppend) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard state.tunnels[id]?.archivedAt == nil, state.tunnels[id] != nil else { return }
            try Self.log(append, id, &state)
            state.tunnels[id]?.archivedAt = time
            for (key, certificate) in state.tunnelCertificates where certificate.tunnelID == id && certificate.archivedAt == nil {
                state.tunnelCertificates[key]?.archivedAt = time
            }
            for (index, key) in state.connectorKeys.enumerated() where key.tunnelID == id && key.revokedAt == nil {
                state.connectorKeys[index].revokedAt = time
            }
            state.tunnelRevision += 1
        }
    }

    package func changeTunnel(_ id: String, splice: Bool?, hidesRoutes: Bool?) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard var tunnel = state.tunnels[id], tunnel.archivedAt == nil else { throw .conflict }
            tunnel.splice = splice ?? tunnel.splice
            tunnel.hidesRoutes = hidesRoutes ?? tunnel.hidesRoutes
            state.tunnels[id] = tunnel
            if splice != nil { state.tunnelRevision += 1 }
        }
    }

    package func rotateToken(_ old: String, to new: TunnelTokenRecord, reason: String?) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard let tunnel = state.tunnels[new.tunnelID], tunnel.tokenID == old, tunnel.archivedAt == nil, state.tunnelTokens[new.id] == nil
            else { throw .conflict }
            state.tunnels[new.tunnelID]?.tokenID = new.id
            state.tunnelTokens[old]?.rotatedAt = new.createdAt
            state.tunnelTokens[old]?.reason = reason
            state.tunnelTokens[new.id] = new
            state.tunnelRevision += 1
        }
    }

    package func tunnelToken(_ id: String) async throws(StoreError) -> TunnelTokenRecord? {
        try with { state throws(StoreError) in state.tunnelTokens[id] }
    }

    package func create(_ certificate: TunnelCertificateRecord, mostLive: Int, logging append: RegistrationAppend) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard let tunnel = state.tunnels[certificate.tunnelID], tunnel.archivedAt == nil, state.tunnelCertificates[certificate.id] == nil
            else { throw .conflict }
            let live = state.tunnelCertificates.values.filter { $0.tunnelID == certificate.tunnelID && $0.archivedAt == nil }
            guard !live.contains(where: { $0.fingerprint == certificate.fingerprint }) else { throw .duplicate("fingerprint") }
            guard live.count < mostLive else { throw .conflict }
            try Self.log(append, certificate.tunnelID, &state)
            state.tunnelCertificates[certificate.id] = certificate
        }
    }

    package func tunnelCertificate(_ id: String) async throws(StoreError) -> TunnelCertificateRecord? {
        try with { state throws(StoreError) in state.tunnelCertificates[id] }
    }

    package func tunnelCertificates(
        tunnelID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<TunnelCertificateRecord> {
        try with { state throws(StoreError) in
            let found = state.tunnelCertificates.values.filter { $0.tunnelID == tunnelID && (includeArchived || $0.archivedAt == nil) }
            return Self.pageByTime(found, from: from, limit: limit) { ($0.createdAt, $0.id) }
        }
    }

    package func archiveTunnelCertificate(_ id: String, at time: Timestamp, logging append: RegistrationAppend) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard let certificate = state.tunnelCertificates[id], certificate.archivedAt == nil else { return }
            try Self.log(append, certificate.tunnelID, &state)
            state.tunnelCertificates[id]?.archivedAt = time
        }
    }

    package func enrol(_ key: ConnectorKeyRecord, mostLive: Int, logging append: RegistrationAppend) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard let tunnel = state.tunnels[key.tunnelID], tunnel.archivedAt == nil, tunnel.tokenID == key.tokenID else { throw .conflict }
            let own = state.connectorKeys.filter { $0.tunnelID == key.tunnelID }
            let isKnown = own.contains { $0.fingerprint == key.fingerprint }
            guard isKnown || own.count(where: { $0.revokedAt == nil }) < mostLive else { throw .conflict }
            guard !isKnown, !state.connectorKeys.contains(where: { $0.fingerprint == key.fingerprint && $0.revokedAt == nil }) else {
                throw .duplicate("fingerprint")
            }
            try Self.log(append, key.tunnelID, &state)
            state.connectorKeys.append(key)
            state.tunnelRevision += 1
        }
    }

    package func connectorKey(_ fingerprint: String, tunnelID: String) async throws(StoreError) -> ConnectorKeyRecord? {
        try with { state throws(StoreError) in state.connectorKeys.first { $0.fingerprint == fingerprint && $0.tunnelID == tunnelID } }
    }

    package func connectorKeys(tunnelID: String, limit: Int) async throws(StoreError) -> [ConnectorKeyRecord] {
        try with { state throws(StoreError) in
            let found = state.connectorKeys.filter { $0.tunnelID == tunnelID }
            return Array(found.sorted { ($0.enrolledAt, $0.fingerprint) > ($1.enrolledAt, $1.fingerprint) }.prefix(limit))
        }
    }

    package func revokeConnectorKey(
        _ fingerprint: String, tunnelID: String, at time: Timestamp, logging append: RegistrationAppend
    ) async throws(StoreError) -> Bool {
        try with { state throws(StoreError) in
            let place = state.connectorKeys.firstIndex { $0.fingerprint == fingerprint && $0.tunnelID == tunnelID && $0.revokedAt == nil }
            guard let place else { return false }
            try Self.log(append, tunnelID, &state)
            state.connectorKeys[place].revokedAt = time
            state.tunnelRevision += 1
            return true
        }
    }

    package func log(_ append: RegistrationAppend, tunnelID: String) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard let tunnel = state.tunnels[tunnelID], tunnel.archivedAt == nil else { throw .conflict }
            try Self.log(append, tunnelID, &state)
        }
    }

    package func registrations(tunnelID: String, from position: Int, limit: Int) async throws(StoreError) -> [[UInt8]] {
        try with { state throws(StoreError) in Array((state.registrations[tunnelID] ?? []).dropFirst(position).prefix(limit)) }
    }

    /// The last thing that is checked, and the first that is changed.
    private static func log(_ append: RegistrationAppend, _ tunnelID: String, _ state: inout State) throws(StoreError) {
        guard (state.registrations[tunnelID] ?? []).count == append.position else { throw .duplicate("registrations") }
        state.registrations[tunnelID, default: []].append(append.entry)
        state.tunnelRevision += 1
    }

    /// A log as it was, for tests of who watches it.
    package func replaceRegistrations(_ log: [[UInt8]], tunnelID: String) {
        try? with { state throws(StoreError) in state.registrations[tunnelID] = log }
    }

    package func runtimeAuthority(workspaceID: String) async throws(StoreError) -> RuntimeAuthorityRecord? {
        try with { state throws(StoreError) in state.runtimeAuthorities[workspaceID] }
    }

    package func create(_ authority: RuntimeAuthorityRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard state.runtimeAuthorities[authority.workspaceID] == nil else { throw .conflict }
            state.runtimeAuthorities[authority.workspaceID] = authority
            state.tunnelRevision += 1
        }
    }

    package func liveTunnels() async throws(StoreError) -> LiveTunnels {
        try with { state throws(StoreError) in
            let live = state.tunnels.values.filter { $0.archivedAt == nil }.sorted { $0.id < $1.id }
            return LiveTunnels(
                revision: state.tunnelRevision,
                tunnels: live.map { tunnel in
                    let keys = state.connectorKeys.filter { $0.tunnelID == tunnel.id && $0.revokedAt == nil }.map(\.fingerprint)
                    return .init(
                        id: tunnel.id, domain: tunnel.domain, workspaceID: tunnel.workspaceID, splice: tunnel.splice, connectorKeys: keys.sorted(),
                        registrations: state.registrations[tunnel.id]?.count ?? 0)
                },
                authorities: state.runtimeAuthorities.filter { pair in live.contains { $0.workspaceID == pair.key } }.mapValues(\.certificatePEM))
        }
    }

    package func hasSealed() async throws(StoreError) -> Bool {
        try with { state throws(StoreError) in !state.tunnels.isEmpty || !state.runtimeAuthorities.isEmpty }
    }
}
