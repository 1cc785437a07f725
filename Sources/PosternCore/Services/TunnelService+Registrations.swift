import ManagedAgentsAPI
import PosternJSON

/// The log of a tunnel's registrations: each change of them is an entry, and what counts is what the log comes to.
extension TunnelService {
    /// Entries of one log.
    package static let mostRegistrations = 1000

    package var time: Timestamp { now() }

    /// Makes the entry of a change and stores both together, on the log as it is at that moment.
    func registered<Value: Sendable>(
        _ change: RegistrationChange, _ tunnel: TunnelRecord, _ commit: (RegistrationAppend) async throws(StoreError) -> Value
    ) async throws(APIError) -> Result<Value, StoreError> {
        while true {
            let log = try await log(of: tunnel)
            let entry = try credentials.entry(change, after: log, tunnelID: tunnel.id, at: now())
            do throws(StoreError) {
                let value = try await commit(RegistrationAppend(position: log.count, entry: entry))
                changes.notify()
                return .success(value)
            } catch .duplicate(let what) where what == "registrations" {
                continue  // somebody else has registered something since the log was read
            } catch {
                return .failure(error)
            }
        }
    }

    /// The entries of the tunnel's log. A tunnel that is older than the logs gets its first entry now, with what counts for it: before anything else
    /// can be registered, since every change reads the log first.
    func log(of tunnel: TunnelRecord) async throws(APIError) -> [[UInt8]] {
        while true {
            let log = try await stored { () async throws(StoreError) in
                try await store.registrations(tunnelID: tunnel.id, from: 0, limit: Self.mostRegistrations)
            }
            guard log.isEmpty else { return log }
            let certificates = try await stored { () async throws(StoreError) in
                try await store.tunnelCertificates(tunnelID: tunnel.id, includeArchived: false, from: nil, limit: Self.mostCertificates)
            }
            let keys = try await stored { () async throws(StoreError) in
                try await store.connectorKeys(tunnelID: tunnel.id, limit: Self.mostListedKeys)
            }
            let live = keys.filter { $0.revokedAt == nil }.map(\.fingerprint)
            let entry = credentials.begin(tunnel, mode: "signed", certificates: certificates.elements, connectorKeys: live, at: now())
            do throws(StoreError) {
                try await store.log(RegistrationAppend(position: 0, entry: entry), tunnelID: tunnel.id)
                return [entry]
            } catch .duplicate {
                continue
            } catch .conflict {
                return []  // archived before there were logs
            } catch {
                throw error.apiError
            }
        }
    }

    // MARK: Reading

    /// Entries from a position on, with the log's size.
    package func registrations(_ id: String, workspaceID: String, from position: Int, limit: Int) async throws(APIError) -> (
        entries: [[UInt8]], size: Int
    ) {
        let log = try await log(of: try await tunnel(id, workspaceID: workspaceID))
        return (Array(log.dropFirst(position).prefix(limit)), log.count)
    }

    /// The signed head with what follows `since` entries.
    package func registrationHead(_ id: String, workspaceID: String, since: Int) async throws(APIError) -> JSON {
        try await head(of: try await tunnel(id, workspaceID: workspaceID), since: since)
    }

    func head(of tunnel: TunnelRecord, since: Int) async throws(APIError) -> JSON {
        try credentials.answer(try await log(of: tunnel), tunnelID: tunnel.id, workspaceID: tunnel.workspaceID, since: since, at: now())
    }

    package func registrationStanding(_ id: String, workspaceID: String) async throws(APIError) -> RegistrationStanding {
        try await standing(of: try await tunnel(id, workspaceID: workspaceID))
    }

    private func standing(of tunnel: TunnelRecord) async throws(APIError) -> RegistrationStanding {
        try credentials.standing(try await log(of: tunnel), tunnelID: tunnel.id, at: now())
    }

    /// An authority that is not archived, with the time from which callers are given it.
    package struct RegisteredCertificate: Sendable {
        package var certificate: TunnelCertificateRecord
        package var countsAt: Timestamp
    }

    /// Newest first.
    package func registeredCertificates(_ id: String, workspaceID: String) async throws(APIError) -> [RegisteredCertificate] {
        try await registeredCertificates(try await tunnel(id, workspaceID: workspaceID))
    }

    func registeredCertificates(_ tunnel: TunnelRecord) async throws(APIError) -> [RegisteredCertificate] {
        let page = try await stored { () async throws(StoreError) in
            try await store.tunnelCertificates(tunnelID: tunnel.id, includeArchived: false, from: nil, limit: Self.mostCertificates)
        }
        let standing = try await standing(of: tunnel)
        // What the log does not know does not count.
        return page.elements.compactMap { certificate in
            standing.countsAt[certificate.fingerprint].map { RegisteredCertificate(certificate: certificate, countsAt: $0) }
        }
    }

    // MARK: Statements, the owner's key, the mode

    /// Lets a certificate that waits count now, by a statement for it.
    package func endorseCertificate(
        _ certificateID: String, statement: JSON, _ id: String, workspaceID: String
    ) async throws(APIError) -> RegisteredCertificate {
        let certificate = try await certificate(certificateID, id, workspaceID: workspaceID)
        try await append(.certificateEndorsed(fingerprint: certificate.fingerprint, statement: statement), id, workspaceID: workspaceID)
        let found = try await registeredCertificates(id, workspaceID: workspaceID).first { $0.certificate.id == certificateID }
        guard let found else { throw .notFound("Certificate \(certificateID) not found.") }
        return found
    }

    /// - Parameter key: SubjectPublicKeyInfo in DER.
    package func setOwnerKey(_ key: [UInt8], statement: JSON?, _ id: String, workspaceID: String) async throws(APIError) -> RegistrationStanding {
        try await append(.ownerKeySet(key: key, statement: statement), id, workspaceID: workspaceID)
    }

    /// - Parameter mode: `signed` or `api`.
    package func setRegistration(_ mode: String, statement: JSON?, _ id: String, workspaceID: String) async throws(APIError) -> RegistrationStanding {
        try await append(.modeChanged(mode: mode, statement: statement), id, workspaceID: workspaceID)
    }

    @discardableResult
    private func append(_ change: RegistrationChange, _ id: String, workspaceID: String) async throws(APIError) -> RegistrationStanding {
        let tunnel = try await liveTunnel(id, workspaceID: workspaceID)
        let outcome = try await registered(change, tunnel) { (append) async throws(StoreError) in try await store.log(append, tunnelID: id) }
        if case .failure(.conflict) = outcome { _ = try await liveTunnel(id, workspaceID: workspaceID) }
        try outcome.answer()
        return try await standing(of: tunnel)
    }
}

extension Result where Failure == StoreError {
    /// The value; the failure as a client is told it.
    @discardableResult
    func answer() throws(APIError) -> Success {
        do throws(StoreError) { return try get() } catch { throw error.apiError }
    }
}
