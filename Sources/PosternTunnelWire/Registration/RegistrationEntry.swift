import FoundationEssentials
import PosternJSON

/// Who decides that a registration counts.
package enum RegistrationMode: String, Hashable, Sendable, CaseIterable {
    /// A statement of somebody who counts already, or 24 hours.
    case signed
    /// The API alone.
    case api
}

/// One registration of a tunnel, as it stands in the log. Its bytes are its JSON in the form of RFC 8785, which is one spelling for each.
package struct RegistrationEntry: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The first entry, and only that: the tunnel, with what counted before it had a log.
        case tunnel(RegistrationMode, certificates: [Authority], connectorKeys: [String])
        case certificateAdded(Authority, countsAt: Int, RegistrationStatement?)
        /// A statement for an authority that waits.
        case certificateEndorsed(fingerprint: String, RegistrationStatement)
        case certificateArchived(fingerprint: String)
        case connectorKeyEnrolled(fingerprint: String)
        case connectorKeyRevoked(fingerprint: String)
        /// - `key`: SubjectPublicKeyInfo in DER, ECDSA on P-256.
        case ownerKeySet(key: [UInt8], countsAt: Int, RegistrationStatement?)
        case modeChanged(RegistrationMode, countsAt: Int, RegistrationStatement?)
        case tunnelArchived
    }

    package struct Authority: Hashable, Sendable {
        /// Lowercase hexadecimal SHA-256 of the DER.
        package var fingerprint: String
        package var pem: String

        package init(fingerprint: String, pem: String) {
            self.fingerprint = fingerprint
            self.pem = pem
        }
    }

    package var tunnelID: String
    /// Seconds since 1970.
    package var at: Int
    package var kind: Kind

    package init(tunnelID: String, at: Int, _ kind: Kind) {
        self.tunnelID = tunnelID
        self.at = at
        self.kind = kind
    }

    /// What is hashed, stored and sent.
    package var encoded: [UInt8] { json.canonical }

    package var json: JSON {
        var object: JSONObject = ["at": JSON(at), "tunnel": .string(tunnelID), "type": .string(kind.name)]
        func counts(_ time: Int, _ statement: RegistrationStatement?) {
            object["counts_at"] = JSON(time)
            if let statement { object["statement"] = statement.json }
        }
        switch kind {
        case .tunnel(let mode, let certificates, let keys):
            object["registration"] = .string(mode.rawValue)
            object["certificates"] = .array(certificates.map { ["fingerprint": .string($0.fingerprint), "pem": .string($0.pem)] })
            object["connector_keys"] = .array(keys.map(JSON.string))
        case .certificateAdded(let authority, let time, let statement):
            object["fingerprint"] = .string(authority.fingerprint)
            object["pem"] = .string(authority.pem)
            counts(time, statement)
        case .certificateEndorsed(let fingerprint, let statement):
            object["fingerprint"] = .string(fingerprint)
            object["statement"] = statement.json
        case .certificateArchived(let fingerprint), .connectorKeyEnrolled(let fingerprint), .connectorKeyRevoked(let fingerprint):
            object["fingerprint"] = .string(fingerprint)
        case .ownerKeySet(let key, let time, let statement):
            object["key"] = .string(Data(key).base64EncodedString())
            counts(time, statement)
        case .modeChanged(let mode, let time, let statement):
            object["registration"] = .string(mode.rawValue)
            counts(time, statement)
        case .tunnelArchived: break
        }
        return .object(object)
    }

    /// Reads an entry; refuses every spelling but the one that `encoded` writes.
    package init(_ bytes: [UInt8]) throws(RegistrationError) {
        let malformed = RegistrationError.malformed("an entry of the log cannot be read")
        guard let json = try? JSON(parsing: bytes), let object = json.object, let tunnel = object["tunnel"]?.string, let at = object["at"]?.int,
            let type = object["type"]?.string
        else { throw malformed }
        let reader = Reader(object: object)
        guard let kind = try reader.kind(type) else { throw malformed }
        self.init(tunnelID: tunnel, at: at, kind)
        guard encoded == bytes else { throw .malformed("an entry of the log is not in the form of RFC 8785, or has members that are not known") }
    }

    private struct Reader {
        let object: JSONObject

        func kind(_ type: String) throws(RegistrationError) -> Kind? {
            let fingerprint = object["fingerprint"]?.string
            switch type {
            case "tunnel":
                guard let mode, let certificates = object["certificates"]?.array, let keys = object["connector_keys"]?.array else { return nil }
                let authorities = certificates.compactMap { Self.authority($0["fingerprint"]?.string, $0["pem"]?.string) }
                let names = keys.compactMap(\.string)
                guard authorities.count == certificates.count, names.count == keys.count else { return nil }
                return .tunnel(mode, certificates: authorities, connectorKeys: names)
            case "certificate_added":
                guard let authority = Self.authority(fingerprint, object["pem"]?.string), let time = object["counts_at"]?.int else { return nil }
                return .certificateAdded(authority, countsAt: time, try statement())
            case "certificate_endorsed":
                guard let fingerprint, let statement = try statement() else { return nil }
                return .certificateEndorsed(fingerprint: fingerprint, statement)
            case "certificate_archived": return fingerprint.map { .certificateArchived(fingerprint: $0) }
            case "connector_key_enrolled": return fingerprint.map { .connectorKeyEnrolled(fingerprint: $0) }
            case "connector_key_revoked": return fingerprint.map { .connectorKeyRevoked(fingerprint: $0) }
            case "owner_key_set":
                guard let key = object["key"]?.string.flatMap({ Data(base64Encoded: $0) }), let time = object["counts_at"]?.int else { return nil }
                return .ownerKeySet(key: Array(key), countsAt: time, try statement())
            case "registration_changed":
                guard let mode, let time = object["counts_at"]?.int else { return nil }
                return .modeChanged(mode, countsAt: time, try statement())
            case "tunnel_archived": return .tunnelArchived
            default: return nil
            }
        }

        private var mode: RegistrationMode? { object["registration"]?.string.flatMap(RegistrationMode.init) }

        private func statement() throws(RegistrationError) -> RegistrationStatement? {
            guard let json = object["statement"] else { return nil }
            return try RegistrationStatement(json: json)
        }

        private static func authority(_ fingerprint: String?, _ pem: String?) -> Authority? {
            guard let fingerprint, let pem else { return nil }
            return Authority(fingerprint: fingerprint, pem: pem)
        }
    }
}

extension RegistrationEntry.Kind {
    /// The entry's type.
    package var name: String {
        switch self {
        case .tunnel: "tunnel"
        case .certificateAdded: "certificate_added"
        case .certificateEndorsed: "certificate_endorsed"
        case .certificateArchived: "certificate_archived"
        case .connectorKeyEnrolled: "connector_key_enrolled"
        case .connectorKeyRevoked: "connector_key_revoked"
        case .ownerKeySet: "owner_key_set"
        case .modeChanged: "registration_changed"
        case .tunnelArchived: "tunnel_archived"
        }
    }
}
