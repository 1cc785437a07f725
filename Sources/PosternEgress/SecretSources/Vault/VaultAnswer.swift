import PosternJSON
import PosternPolicy

/// Reads Vault's answers (HTTP API, "Key/Value secrets engine" and "Token auth method"). Values without I/O.
enum VaultAnswer {
    /// Seconds for which a value may be used while Vault cannot be asked. The key-value engine leases nothing: the `lease_duration` of
    /// version 1 is a hint of 32 days.
    static let longestUnconfirmed: Double = 3_600

    /// A token and how long it lives.
    struct Token: Sendable, Equatable {
        var value: SecretValue
        /// Seconds; `nil` for a token that does not expire.
        var lease: Double?
        var isRenewable: Bool
    }

    /// The member `auth` of a login or a renewal.
    static func token(_ json: JSON) -> Token? {
        guard let auth = json["auth"], let text = auth["client_token"]?.string, !text.isEmpty else { return nil }
        let lease = auth["lease_duration"]?.double ?? 0
        return Token(value: SecretValue(text), lease: lease > 0 ? lease : nil, isRenewable: auth["renewable"]?.bool ?? false)
    }

    /// What `lookup-self` says of a token.
    static func lookup(_ json: JSON, of value: SecretValue) -> Token? {
        guard let data = json["data"], let lease = data["ttl"]?.double else { return nil }
        return Token(value: value, lease: lease > 0 ? lease : nil, isRenewable: data["renewable"]?.bool ?? false)
    }

    /// A field of a secret, of either version of the engine. Version 2 wraps the members in `data.data` beside `data.metadata.version`.
    static func field(_ name: String, in json: JSON, source: String) throws(SecretSourceError) -> SecretResolver.Found {
        guard let data = json["data"], data.object != nil else {
            throw SecretSourceError(source, "the answer holds no secret", remedy: "check the path; for version 2 \"data\" stands behind the mount")
        }
        let isVersion2 = data["metadata"]?["version"] != nil && data["data"] != nil
        guard let members = (isVersion2 ? data["data"] : data)?.object else {
            throw SecretSourceError(source, "this version of the secret is deleted", remedy: "restore it or write a new one")
        }
        let value: String
        switch members[name] {
        case .string(let text)?: value = text
        case .int(let number)?: value = String(number)
        case nil:
            throw SecretSourceError(source, "the secret has no field \"\(printable(name))\"", remedy: "name one of its fields")
        case let other?:
            throw SecretSourceError(source, "the field \"\(printable(name))\" is of kind \(other.kind)", remedy: "name a field that is text")
        }
        guard !value.isEmpty else { throw SecretSourceError(source, "the field \"\(printable(name))\" is empty", remedy: "write a value") }
        return SecretResolver.Found(value: SecretValue(value), lease: longestUnconfirmed)
    }

    /// What an answer other than 200 means. Vault's own words are repeated; they hold no secret.
    static func failure(_ status: Int, _ body: [UInt8], source: String) -> SecretSourceError {
        let words = (try? JSON(parsing: body))?["errors"]?.array?.compactMap(\.string).joined(separator: ", ") ?? ""
        let said = words.isEmpty ? "" : ": \(printable(words))"
        switch status {
        case 400: return SecretSourceError(source, "Vault refused the request\(said)", remedy: "check the login and the path")
        case 403:
            return SecretSourceError(source, "Vault denies it\(said)", remedy: "give the token's policy \"read\" on the path, or renew the login")
        case 404:
            return SecretSourceError(
                source, "there is nothing at the path\(said)", remedy: "check mount and path; version 2 has \"data\" behind the mount")
        case 300..<400: return SecretSourceError(source, "Vault points to another server", remedy: "name the active server, or let standbys forward")
        case 429, 472, 473, 500...599:
            return SecretSourceError(source, "Vault cannot answer now (status \(status))\(said)", remedy: "it is asked again", isTemporary: true)
        default: return SecretSourceError(source, "Vault answered with status \(status)\(said)", remedy: "check the address")
        }
    }
}
