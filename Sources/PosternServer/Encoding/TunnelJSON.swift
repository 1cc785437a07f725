import ManagedAgentsAPI
import PosternCore
import PosternJSON

// Tunnels and what belongs to them as the API answers them.

extension TunnelRecord {
    var json: JSON {
        [
            "id": .string(id), "type": "tunnel", "display_name": JSON(displayName), "domain": .string(domain),
            "created_at": .string(createdAt.description), "archived_at": JSON(archivedAt?.description),
        ]
    }

    func settingsJSON(_ standing: RegistrationStanding) -> JSON {
        [
            "type": "tunnel_settings", "tunnel_id": .string(id), "splice": .bool(splice), "hide_routes": .bool(hidesRoutes),
            "registration": .string(standing.mode),
            "registration_pending": standing.pendingMode.map {
                ["registration": .string($0.mode), "counts_at": .string($0.countsAt.description)]
            } ?? .null,
            "owner_key": JSON(standing.ownerKey),
            "owner_key_pending": standing.pendingOwnerKey.map {
                ["owner_key": .string($0.fingerprint), "counts_at": .string($0.countsAt.description)]
            } ?? .null,
        ]
    }
}

extension TunnelCertificateRecord {
    var json: JSON {
        [
            "id": .string(id), "type": "tunnel_certificate", "tunnel_id": .string(tunnelID), "fingerprint": .string(fingerprint),
            "created_at": .string(createdAt.description), "expires_at": JSON(expiresAt?.description), "archived_at": JSON(archivedAt?.description),
        ]
    }
}

extension TunnelService.RegisteredCertificate {
    /// - Parameter now: by which it counts or waits.
    func json(now: Timestamp) -> JSON {
        var object = certificate.json.object ?? [:]
        object["counts_at"] = .string(countsAt.description)
        object["counts"] = .bool(countsAt <= now)
        return .object(object)
    }
}

extension ConnectorKeyRecord {
    var json: JSON {
        [
            "id": .string(fingerprint), "type": "connector_key", "tunnel_id": .string(tunnelID), "token_id": .string(tokenID),
            "enrolled_at": .string(enrolledAt.description), "revoked_at": JSON(revokedAt?.description),
        ]
    }
}

extension ConnectorLeg {
    var json: JSON {
        [
            "type": "connector_leg", "edge": .string(edge), "connector_key": .string(leg.connectorKey), "version": .string(leg.version),
            "since": .string(leg.since.description), "last_seen_at": .string(lastSeen.description), "streams": JSON(leg.streams),
            "bytes_in": JSON(leg.bytesIn), "bytes_out": JSON(leg.bytesOut), "certificate_expires_at": JSON(leg.certificateExpires?.description),
            "certificate_days_left": certificateDaysLeft.map { JSON($0) } ?? .null,
        ]
    }

    /// Whole days at the time when the leg was last heard of, none below zero.
    private var certificateDaysLeft: Int? { leg.certificateExpires.map { max(0, Int(($0 - lastSeen) / .seconds(86_400))) } }
}

extension LiveTunnels {
    var json: JSON {
        [
            "revision": JSON(revision),
            "tunnels": .array(
                tunnels.map { tunnel in
                    [
                        "id": .string(tunnel.id), "domain": .string(tunnel.domain), "workspace_id": .string(tunnel.workspaceID),
                        "splice": .bool(tunnel.splice), "connector_keys": .array(tunnel.connectorKeys.map(JSON.string)),
                        "registrations": JSON(tunnel.registrations),
                    ]
                }),
            "runtime_authorities": .array(
                authorities.sorted { $0.key < $1.key }.map { ["workspace_id": .string($0.key), "certificate_pem": .string($0.value)] }),
        ]
    }
}
