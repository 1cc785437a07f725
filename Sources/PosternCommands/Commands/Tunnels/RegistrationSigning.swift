import Crypto
import FoundationEssentials
import PosternConnector
import PosternJSON
import PosternTunnelWire

/// Statements for registrations, made from files.
enum RegistrationSigning {
    /// A statement of the key in `keyFile`: an authority's or the owner's.
    static func sign(
        tunnel: String, _ purpose: RegistrationStatement.Purpose, subject: String, keyFile: String
    ) throws -> RegistrationStatement {
        try TextFile.checkPrivate(keyFile)
        let text = try TextFile.read(keyFile)
        do {
            return try .sign(tunnelID: tunnel, purpose: purpose, subject: subject, time: Int(Date().timeIntervalSince1970), keyPEM: text)
        } catch {
            throw CommandError(.configuration, "\(keyFile): \(error)")
        }
    }

    /// The statement in a file; what it says is the server's to judge.
    static func read(_ path: String) throws -> RegistrationStatement {
        do {
            return try RegistrationStatement(json: try JSON(parsing: TextFile.read(path)))
        } catch let error as CommandError {
            throw error
        } catch {
            throw CommandError(.configuration, "\(path): \(error)")
        }
    }

    /// Of a certificate's file.
    static func authority(_ path: String) throws -> String {
        do { return try ConnectorCertificates.fingerprint(certificatePEM: try TextFile.read(path)) } catch {
            throw CommandError(.configuration, "\(path): \(error)")
        }
    }

    /// DER of a public key's file, with its fingerprint.
    static func publicKey(_ path: String) throws -> (der: [UInt8], fingerprint: String) {
        guard let key = try? P256.Signing.PublicKey(pemRepresentation: try TextFile.read(path)) else {
            throw CommandError(.configuration, "\(path) holds no public key on P-256 in PEM")
        }
        return (Array(key.derRepresentation), RegistrationHead.fingerprint(key))
    }
}
