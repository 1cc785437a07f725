import Crypto
import FoundationEssentials
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTunnelWire
import SwiftASN1
import X509

/// The cryptography of tunnels with swift-crypto and swift-certificates, over one seal key.
package struct SealedTunnelCredentials: TunnelCredentials {
    let key: SealKey
    /// How long a runtime authority counts.
    private static let authorityLife: TimeInterval = 10 * 365 * 24 * 3600

    package init(key: SealKey) { self.key = key }

    package func checkAuthority(pem: String, now: Timestamp) throws(APIError) -> (fingerprint: String, expiresAt: Timestamp) {
        let authority: TunnelAuthority
        do { authority = try AuthorityRules.check(pem: pem, now: now.date) } catch {
            throw .invalid("ca_certificate_pem: \(error).", details: ["error_code": "invalid_ca_certificate"])
        }
        return (authority.fingerprint, Timestamp(authority.expiresAt))
    }

    // MARK: Tokens

    /// `tnlt_` and URL-safe base64 of the token's id, then HMAC-SHA-256 of what the token is for, the tunnel's id and the token's.
    private static let prefix = "tnlt_"
    private static let codeSize = 32

    package func token(_ tokenID: String, tunnelID: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Self.message(tokenID, tunnelID), using: key.tokens)
        return Self.prefix + Base64URL.encode(Array(tokenID.utf8) + code)
    }

    package func tokenID(in token: String) -> String? { Self.parts(of: token)?.id }

    package func isToken(_ token: String, _ tokenID: String, tunnelID: String) -> Bool {
        guard let parts = Self.parts(of: token), parts.id == tokenID else { return false }
        // Compares in constant time.
        return HMAC<SHA256>.isValidAuthenticationCode(parts.code, authenticating: Self.message(tokenID, tunnelID), using: key.tokens)
    }

    private static func parts(of token: String) -> (id: String, code: [UInt8])? {
        guard token.hasPrefix(prefix), token.utf8.count <= 256, let bytes = Base64URL.decode(String(token.dropFirst(prefix.count))),
            bytes.count > codeSize, let id = String(validating: bytes.dropLast(codeSize), as: UTF8.self), ResourceID.isWellFormed(id, .tunnelToken)
        else { return nil }
        return (id, Array(bytes.suffix(codeSize)))
    }

    /// Ids hold no zero byte, so no two pairs make one message.
    private static func message(_ tokenID: String, _ tunnelID: String) -> [UInt8] {
        Array("postern tunnel token".utf8) + [0] + Array(tunnelID.utf8) + [0] + Array(tokenID.utf8)
    }

    package func routeKey(tunnelID: String) -> String {
        Hexadecimal.text(HMAC<SHA256>.authenticationCode(for: Array(tunnelID.utf8), using: key.routes))
    }

    // MARK: Keys and certificates

    package func fingerprint(ofConnectorKey der: [UInt8]) throws(APIError) -> String {
        guard let key = try? P256.Signing.PublicKey(derRepresentation: der), Array(key.derRepresentation) == der else {
            throw .invalid("connector_key: Input should be an ECDSA key on P-256: DER of a SubjectPublicKeyInfo with an uncompressed point")
        }
        return Hexadecimal.text(SHA256.hash(data: der))
    }

    package func makeRuntimeAuthority(workspaceID: String, now: Timestamp) throws(APIError) -> RuntimeAuthorityRecord {
        do {
            let authority = try RuntimeAuthority.make(
                workspaceID: workspaceID, notBefore: now.date - RuntimeCertificate.clockSkew, notAfter: now.date + Self.authorityLife)
            let sealed = try AES.GCM.seal(
                Array(authority.key.rawRepresentation), using: key.authorities, authenticating: Self.purpose(workspaceID))
            guard let combined = sealed.combined else { throw APIError.internalError }
            return RuntimeAuthorityRecord(
                workspaceID: workspaceID, certificatePEM: try authority.certificatePEM, sealedKey: Array(combined), createdAt: now)
        } catch {
            throw .internalError
        }
    }

    package func issue(
        _ client: RuntimeClient, request: String, by record: RuntimeAuthorityRecord, from: Timestamp, until: Timestamp
    ) throws(APIError) -> String {
        let publicKey: P256.Signing.PublicKey
        do { publicKey = try RuntimeCertificate.publicKey(ofRequest: request) } catch { throw .invalid("csr_pem: \(error).") }
        let authority = try open(record)
        let identity = RuntimeIdentity(
            tunnelID: client.tunnelID, workspaceID: client.workspaceID, agentID: client.session?.agentID, agentVersion: client.session?.agentVersion,
            configurationDigest: client.session?.configurationDigest, sessionID: client.session?.id, person: client.person, client: client.client,
            routes: client.routes)
        do {
            return try RuntimeCertificate.issue(
                identity, publicKey: publicKey, authority: authority.certificate, authorityKey: authority.key, notBefore: from.date,
                notAfter: until.date
            ).serializeAsPEM().pemString
        } catch {
            throw .internalError
        }
    }

    private func open(_ record: RuntimeAuthorityRecord) throws(APIError) -> RuntimeAuthority {
        do {
            let box = try AES.GCM.SealedBox(combined: record.sealedKey)
            let bytes = try AES.GCM.open(box, using: key.authorities, authenticating: Self.purpose(record.workspaceID))
            return RuntimeAuthority(
                certificate: try Certificate(pemEncoded: record.certificatePEM), key: try P256.Signing.PrivateKey(rawRepresentation: bytes))
        } catch {
            throw APIError(
                500, .api, "The workspace's runtime authority cannot be opened: seal.key in the data folder is not the one that sealed it.",
                shouldRetry: false)
        }
    }

    /// What is sealed for one workspace opens for no other.
    private static func purpose(_ workspaceID: String) -> [UInt8] { Array("runtime authority of \(workspaceID)".utf8) }
}

extension Timestamp {
    var date: Date { Date(timeIntervalSince1970: Double(microseconds) / 1_000_000) }
    init(_ date: Date) { self.init(microseconds: Int64((date.timeIntervalSince1970 * 1_000_000).rounded())) }
}
