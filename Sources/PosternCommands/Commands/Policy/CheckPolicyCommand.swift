import ArgumentParser
import PosternPolicy

/// `postern sandbox policy check`
struct CheckPolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Name every mistake in policies, with file, line and column.",
        discussion: """
            A folder is checked as the worker reads it: all policies in it, and whether each can be chosen. The last line is the digest that a worker
            started with them puts on its own records. The exit status is 5 when something is wrong.

            Example: postern sandbox policy check /etc/postern/policies
            """)

    @Argument(help: "Files or folders; - is standard input.")
    var path: [String]

    @Flag(name: .long, help: "Say nothing when all is well.")
    var quiet = false

    func run() async throws {
        let terminal = Terminal()
        var failed = false
        for path in path {
            do {
                let set = try PolicySet(try PolicyFiles.files(path), reader: PolicyFiles.reader())
                if set.policies.isEmpty { throw CommandError(.notFound, "\(path) holds no policy: files end in .yaml, .yml or .json") }
                if quiet { continue }
                for loaded in set.policies { terminal.print("\(loaded.file): \(Terminal.visible(loaded.policy.name)) \(loaded.policy.digest)") }
                terminal.print("\(path): \(set.digest)")
            } catch let problems as PolicyProblems {
                _ = problems.report(to: terminal)
                failed = true
            }
        }
        if failed { throw CommandStatus.checkFailed.code }
    }
}
