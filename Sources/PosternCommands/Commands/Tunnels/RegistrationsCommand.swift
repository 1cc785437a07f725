import ArgumentParser
import Crypto
import FoundationEssentials
import ManagedAgentsClient
import PosternJSON
import PosternTunnelWire

/// `postern tunnels registrations`
struct RegistrationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registrations", abstract: "The log of what was registered for a tunnel.",
        discussion: """
            Authorities, connector keys and the owner key, each with when it came and from when it counts. --verify computes the root anew from all entries, holds
            it against the signed head, and the entries against the rules of the log.

            Example: postern tunnels registrations tnl_… --verify --log-key-file tunnel/registration-log.pem
            """)

    @OptionGroup var client: ClientOptions

    @Argument(help: "The tunnel's id.")
    var tunnel: String

    @Flag(name: .long, help: "Hold the entries against the head's root, its signature and the rules.")
    var verify = false

    @Option(name: .long, help: "PEM file of the log's key as a connector has pinned it; without it --verify takes the key that the server gives.")
    var logKeyFile: String?

    func run() async throws {
        let json = try await client.withClient { try await $0.request(.get, Tunnels.ownPath(tunnel, "/registrations/head")).json() }
        let (answer, entries): (RegistrationAnswer, [RegistrationEntry])
        do {
            answer = try RegistrationAnswer(json: json)
            entries = try answer.entries.map { (bytes) throws(RegistrationError) in try RegistrationEntry(bytes) }
            if verify { try check(answer) }
        } catch let error as RegistrationError {
            throw CommandError(.failure, "the log of \(tunnel) does not verify: \(error)")
        }
        let rows = entries.map { entry in
            let json = entry.json
            func time(_ key: String) -> JSON { json[key]?.int.map { .string(Self.text($0)) } ?? .null }
            return [
                "at": time("at"), "type": json["type"] ?? .null, "subject": json["fingerprint"] ?? json["registration"] ?? json["key"] ?? .null,
                "counts_at": time("counts_at"), "signed_by": json["statement"]?["key"] ?? .null,
            ] as JSON
        }
        client.show.list(
            rows,
            columns: [
                .init("at", "at"), .init("type", "type"), .init("subject", "subject"), .init("counts from", "counts_at"),
                .init("signed by", "signed_by"),
            ], empty: "Nothing is registered.")
        if verify {
            client.show.terminal.note(
                "Verified: \(entries.count) registrations, root \(Hexadecimal.text(answer.head.root)), log key \(answer.head.logKey).")
        }
    }

    private func check(_ answer: RegistrationAnswer) throws {
        let der = try logKeyFile.map { try RegistrationSigning.publicKey($0).der } ?? answer.logKey
        guard let key = try? P256.Signing.PublicKey(derRepresentation: der) else {
            throw RegistrationError.malformed("the log's key is not on P-256")
        }
        try answer.head.verify(tunnelID: tunnel, by: key)
        guard answer.entries.count == answer.head.size, MerkleTree.root(answer.entries.map { MerkleTree.leaf($0) }) == answer.head.root else {
            throw RegistrationError.entriesAreNotTheHeads
        }
        _ = try RegistrationLedger(tunnelID: tunnel, answer.entries)
    }

    private static func text(_ seconds: Int) -> String { Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601) }
}

/// `postern tunnels owner-key`
struct OwnerKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "owner-key", abstract: "Set the key that speaks for a tunnel's owner.",
        discussion: """
            `postern connector setup` makes and sets one. Another one counts at once with a statement of the old one or of an authority, else after 24 hours.

            Example: postern connector sign --tunnel tnl_… --key-file old.key --owner-key new.pem > statement.json
                     postern tunnels owner-key tnl_… new.pem --statement statement.json
            """)

    @OptionGroup var client: ClientOptions

    @Argument(help: "The tunnel's id.")
    var tunnel: String

    @Argument(help: "PEM file of the public key: ECDSA on P-256.")
    var file: String

    @Option(name: .long, help: "File with a statement that `postern connector sign` has made.")
    var statement: String?

    func run() async throws {
        let der = try RegistrationSigning.publicKey(file).der
        var body: JSONObject = ["public_key": .string(Data(der).base64EncodedString())]
        if let statement { body["statement"] = try RegistrationSigning.read(statement).json }
        let sent = JSON.object(body)
        client.show.one(try await client.withClient { try await $0.request(.post, Tunnels.ownPath(tunnel, "/owner_key"), body: sent).json() })
    }
}
