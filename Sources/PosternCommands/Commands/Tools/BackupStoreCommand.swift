import ArgumentParser
import PosternJSON
import PosternCore
import PosternStore

/// `postern store backup`
struct BackupStoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copy the database to a new file, also while the server runs.",
        discussion: """
            The copy is of one moment, complete, and checked. A file that exists is never overwritten.

            Example: postern store backup --data /var/lib/postern /backup/postern.sqlite
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The new file.")
    var file: String

    func run() async throws {
        try await options.withStore { store in try await store.backup(to: TextFile.absolute(file)) }
        Show(asJSON: options.json).done("Wrote \(file).", ["type": "store_backup", "file": .string(TextFile.absolute(file))])
    }
}

/// The options of commands on the database.
struct StoreOptions: ParsableArguments {
    @Option(.data) var data: String?

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    /// Gives `body` the database of the data folder, which is never made or changed by it.
    func withStore<Result>(_ body: (PosternStore) async throws -> Result) async throws -> Result {
        let flags = data.map { [ConfigurationKey.data.name: $0] } ?? [:]
        let configuration = try Configuration(.serve, flags: flags, environment: ProcessEnvironment.current)
        let path = ControlPlane.databasePath(TextFile.absolute(try configuration.required(.data)))
        do {
            let store = try await PosternStore.open(path: path, for: .inspect)
            let result = try await body(store)
            try store.close()
            return result
        } catch let error as StoreError {
            throw CommandError(.failure, error.reason)
        }
    }
}
