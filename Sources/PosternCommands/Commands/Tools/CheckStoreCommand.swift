import ArgumentParser
import PosternJSON
import PosternStore

/// `postern store check`
struct CheckStoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Look for damage in the database, also while the server runs.",
        discussion: """
            Holds the file against SQLite's own rules and every session's log against Postern's. The exit status is 5 when something is found.

            Example: postern store check --data /var/lib/postern
            """)

    @OptionGroup var options: StoreOptions

    func run() async throws {
        let findings = try await options.withStore { try await $0.check() }
        let terminal = Terminal()
        if options.json {
            terminal.print(JSON.object(["type": "store_check", "findings": .array(findings.map { .string("\($0)") })]).indented)
        } else if findings.isEmpty {
            terminal.print("The database is in order.")
        } else {
            for finding in findings { terminal.print("\(finding)") }
        }
        if !findings.isEmpty { throw CommandStatus.checkFailed.code }
    }
}
