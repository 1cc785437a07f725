import Crypto
import FoundationEssentials
import ManagedAgentsClient
import PosternConnector
import PosternJSON
import PosternTunnelWire

/// What `postern connector setup` does for the log of registrations: the owner key, statements, and the pin of the log's key.
struct ConnectorRegistrations {
    let folder: String
    let terminal: Terminal
    let tunnelID: String

    private func path(_ name: String) -> String { "\(folder)/\(name)" }
    private func has(_ name: String) -> Bool { TextFile.exists(path(name)) }

    /// Makes the owner key and registers its public part, where the tunnel has no owner key yet. The key can be kept elsewhere after that: then only
    /// owner.pem is here, and statements are signed where the key is.
    func prepareOwnerKey(_ client: ManagedAgentsClient) async throws {
        let settings = try await client.request(.get, "/postern/v1/tunnels/\(tunnelID)/settings").json()
        let registered = settings["owner_key"]?.string ?? settings["owner_key_pending"]?["owner_key"]?.string
        if let registered {
            if has("owner.pem"), try RegistrationSigning.publicKey(path("owner.pem")).fingerprint == registered { return }
            return terminal.note(
                "The tunnel has the owner key \(registered), which is not the one of this folder: bring its public part as \(path("owner.pem")), and name it "
                    + "as registrations.owner_key_file, if its statements are to count here.")
        }
        if !has("owner.pem") {
            let key = P256.Signing.PrivateKey()
            try TextFile.writeSecret(key.pemRepresentation, to: path("owner.key"))
            try TextFile.writeSecret(key.publicKey.pemRepresentation, to: path("owner.pem"))
        }
        let (der, fingerprint) = try RegistrationSigning.publicKey(path("owner.pem"))
        var body: JSONObject = ["public_key": .string(Data(der).base64EncodedString())]
        // An authority that counts already speaks for it.
        if has("ca.key"), has("ca.pem"), try await isCounting(try RegistrationSigning.authority(path("ca.pem")), client) {
            body["statement"] = try RegistrationSigning.sign(tunnel: tunnelID, .ownerKey, subject: fingerprint, keyFile: path("ca.key")).json
        }
        let answer = try await client.request(.post, "/postern/v1/tunnels/\(tunnelID)/owner_key", body: .object(body)).json()
        terminal.print("Registered the owner key \(fingerprint). Keep owner.key where this machine's administrators do not reach it.")
        if let time = answer["owner_key_pending"]?["counts_at"]?.string { terminal.note("The owner key counts from \(time).") }
    }

    /// The body that registers an authority, with the owner's statement where the owner's key is here.
    func registration(of authority: String, fingerprint: String, _ client: ManagedAgentsClient) async throws -> JSON {
        var body: JSONObject = ["ca_certificate_pem": .string(authority)]
        let settings = try await client.request(.get, "/postern/v1/tunnels/\(tunnelID)/settings").json()
        if has("owner.key"), has("owner.pem"), try RegistrationSigning.publicKey(path("owner.pem")).fingerprint == settings["owner_key"]?.string {
            body["statement"] = try RegistrationSigning.sign(tunnel: tunnelID, .certificate, subject: fingerprint, keyFile: path("owner.key")).json
        }
        return .object(body)
    }

    /// Says where the authority does not count yet.
    func tellWait(_ fingerprint: String, _ client: ManagedAgentsClient) async throws {
        for certificate in try await client.list("/postern/v1/tunnels/\(tunnelID)/certificates")
        where certificate["fingerprint"]?.string == fingerprint && certificate["counts"]?.bool == false {
            terminal.note(
                "The tunnel has other authorities, and nobody who counts has signed for this one: callers are given it from "
                    + "\(certificate["counts_at"]?.string ?? "later") on. `postern connector sign` and `postern tunnels certificates endorse` end the wait."
            )
        }
    }

    private func isCounting(_ fingerprint: String, _ client: ManagedAgentsClient) async throws -> Bool {
        try await client.list("/postern/v1/tunnels/\(tunnelID)/certificates").contains {
            $0["fingerprint"]?.string == fingerprint && $0["counts"]?.bool == true
        }
    }

    /// The key by which the log is held to what it said. It is pinned: one that changes is not taken over silently.
    func pinLogKey(_ client: ManagedAgentsClient) async throws {
        let answer: RegistrationAnswer
        do {
            answer = try RegistrationAnswer(json: try await client.request(.get, "/postern/v1/tunnels/\(tunnelID)/registrations/head").json())
        } catch let error as RegistrationError {
            throw CommandError(.failure, "\(error)")
        }
        guard let key = try? P256.Signing.PublicKey(derRepresentation: answer.logKey) else {
            throw CommandError(.failure, "the control plane's answer holds no key of the log on P-256")
        }
        do throws(RegistrationError) { try answer.head.verify(tunnelID: tunnelID, by: key) } catch { throw CommandError(.failure, "\(error)") }
        if has("registration-log.pem"),
            try RegistrationSigning.publicKey(path("registration-log.pem")).fingerprint != RegistrationHead.fingerprint(key)
        {
            throw CommandError(
                .failure,
                "the control plane signs the log of registrations with another key than the one in \(path("registration-log.pem")): find out why; remove "
                    + "the file, and registrations.json, to accept it")
        }
        try TextFile.writeSecret(key.pemRepresentation, to: path("registration-log.pem"))
    }

    /// Of `connector.yaml`.
    var document: String {
        "registrations:\n  log_key_file: registration-log.pem\n  state_file: registrations.json\n"
            + (has("owner.pem") ? "  owner_key_file: owner.pem\n" : "")
    }
}
