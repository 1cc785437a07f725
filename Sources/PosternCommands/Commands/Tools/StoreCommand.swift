import ArgumentParser

/// `postern store`
struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "Check or back up the control plane's database.",
        discussion: """
            Both work while the server runs.

            Example: postern store backup --data /var/lib/postern /backup/postern-$(date +%F).sqlite
            """,
        subcommands: [CheckStoreCommand.self, BackupStoreCommand.self])
}
