import ArgumentParser
import ManagedAgentsClient
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `postern environments keys`
struct EnvironmentKeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "The keys that let workers serve an environment.",
        discussion: "Example: postern environments keys create env_… --output env.key",
        subcommands: [Create.self, List.self, Revoke.self])

    static let columns: [Show.Column] = [
        .init("id", "id"), .init("name", "name"), .init("hint", "hint"), .init("created", "created_at"), .init("expires", "expires_at"),
        .init("revoked", "revoked_at"),
    ]

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key and print it once.",
            discussion: """
                Standard output holds nothing but the key; --output writes it straight into a file that a worker reads:

                  postern environments keys create env_… --output env.key
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var fields: KeyFields

        @Argument(help: "The environment's id.")
        var environment: String

        func run() async throws {
            try fields.checkOutput()
            let key = try await client.withClient { api in try await api.createEnvironmentKey(environment: environment, fields.body()) }
            try KeyAnswer.show(.object(key), client.show, output: fields.output)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List an environment's keys, without their secrets.", discussion: "Example: postern environments keys list env_…")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The environment's id.")
        var environment: String

        func run() async throws {
            let keys = try await client.withClient { try await $0.list("/postern/v1/environments/\(environment)/keys") }
            client.show.list(
                keys, columns: EnvironmentKeysCommand.columns,
                empty: "There are no keys; make one with: postern environments keys create \(environment)")
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key: its workers' polls, streams and leases end within a second.",
            discussion: "Example: postern environments keys revoke env_… ekey_…")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The environment's id.")
        var environment: String

        @Argument(help: "The key's id.")
        var key: String

        func run() async throws {
            let answer = try await client.withClient { try await $0.request(.delete, "/postern/v1/environments/\(environment)/keys/\(key)").json() }
            client.show.done("Revoked \(key).", answer)
        }
    }
}

/// What a new key may have.
struct KeyFields: ParsableArguments {
    @Option(name: .long, help: "A name to tell it apart in the list.")
    var name: String?

    @Option(name: .long, help: ArgumentHelp("The moment it stops working, such as 2027-01-31T00:00:00Z.", valueName: "time"))
    var expiresAt: String?

    @Option(name: .shortAndLong, help: "Write the key to this file, readable by its owner only, instead of printing it.")
    var output: String?

    /// Before the key is made: one whose file cannot be written would be lost.
    func checkOutput() throws(CommandError) {
        guard let output else { return }
        let folder = output.contains("/") ? String(output[..<(output.lastIndex(of: "/") ?? output.startIndex)]) : "."
        guard access(folder.isEmpty ? "/" : folder, W_OK | X_OK) == 0 else {
            throw CommandError(.failure, "--output: \(output) cannot be written: \(String(cString: strerror(errno))); no key was made")
        }
    }

    func body() -> JSONObject {
        var body = JSONObject()
        if let name { body["name"] = .string(name) }
        if let expiresAt { body["expires_at"] = .string(expiresAt) }
        return body
    }
}

/// The answer to the making of a key: the only place that holds its secret.
enum KeyAnswer {
    static func show(_ answer: JSON, _ show: Show, output: String?) throws {
        guard let secret = answer["secret"]?.string ?? answer["key"]?.string else { throw CommandError(.failure, "the answer holds no key") }
        if let output {
            try TextFile.writeSecret(secret, to: output)
            var shown = answer.object ?? [:]
            shown["key"] = nil
            shown["secret"] = nil
            return show.done("Wrote \(answer["id"]?.string ?? "the key") to \(output).", .object(shown))
        }
        if show.asJSON { return show.terminal.print(answer.indented) }
        show.terminal.note("\(answer["id"]?.string ?? "The key"), shown this once:")
        show.terminal.print(secret)
    }
}
