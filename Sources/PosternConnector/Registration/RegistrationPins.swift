import Crypto
import PosternTunnelWire

extension RegistrationWatch.Pins {
    /// What the document and its files say; `nil` where the log is not watched.
    /// - Parameter read: gives a file's text; `nil` where there is no such file.
    package init?(_ configuration: ConnectorConfiguration, _ material: ConnectorMaterial, read: (_ path: String) throws -> String?) throws {
        guard let registrations = configuration.registrations else { return nil }
        func key(_ path: String) throws -> P256.Signing.PublicKey {
            guard let text = try read(path) else { throw ConnectorError("\(path) is not there: `postern connector setup` makes it") }
            guard let key = try? P256.Signing.PublicKey(pemRepresentation: text) else {
                throw ConnectorError("\(path) holds no public key on P-256 in PEM")
            }
            return key
        }
        self.init(
            tunnelID: configuration.tunnel.id, logKey: try key(registrations.logKeyFile),
            server: material.server,
            ownerKey: try registrations.ownerKeyFile.map { RegistrationHead.fingerprint(try key($0)) }, connectorKey: material.key.fingerprint,
            knownKeys: configuration.identity.knownKeys.map { Set($0) }, staleAfter: registrations.refuseAfterHours * 3600)
    }
}
