import ArgumentParser
import PosternJSON
import PosternTunnelWire

/// `postern connector sign`
struct ConnectorSignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign", abstract: "Sign that a registration is yours, so that it counts at once.",
        discussion: """
            Prints a statement for one tunnel and one registration, signed with the key of an authority that counts already or with the owner key, on whatever
            machine that key is kept. It can be used once, within 30 days.

            Example: postern connector sign --tunnel tnl_… --key-file owner.key --authority ca2.pem > statement.json
                     postern tunnels certificates add tnl_… ca2.pem --statement statement.json
            """)

    @Option(name: .long, help: "The tunnel's id.")
    var tunnel: String

    @Option(name: .long, help: "PEM file of the key that signs: the owner's, or that of an authority of the tunnel.")
    var keyFile: String

    @Option(name: .long, help: "PEM file of the authority that is to count.")
    var authority: String?

    @Option(name: .long, help: "PEM file of the public owner key that is to count.")
    var ownerKey: String?

    @Option(name: .long, help: "api: authorities are to count at once from then on.")
    var registration: String?

    func validate() throws {
        guard [authority, ownerKey, registration].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("name one of --authority, --owner-key and --registration")
        }
        guard registration == nil || registration == RegistrationMode.api.rawValue else {
            throw ValidationError("--registration: only api needs a statement")
        }
    }

    func run() async throws {
        let (purpose, subject): (RegistrationStatement.Purpose, String) =
            if let authority {
                (.certificate, try RegistrationSigning.authority(authority))
            } else if let ownerKey {
                (.ownerKey, try RegistrationSigning.publicKey(ownerKey).fingerprint)
            } else {
                (.registration, registration ?? "")
            }
        let statement = try RegistrationSigning.sign(tunnel: tunnel, purpose, subject: subject, keyFile: keyFile)
        Terminal().print(statement.json.text)
    }
}
