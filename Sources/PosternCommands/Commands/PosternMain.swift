import ArgumentParser
import PosternEgress

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Runs the command line: parse, run, and turn every error into a message and a documented exit status.
package enum PosternMain {
    /// What a command has to do while the process has one thread. Called first.
    package static func begin(_ arguments: [String]) {
        switch arguments.first {
        case EgressProcessCommand.configuration.commandName: EgressProcess.begin()
        case EdgeProcessCommand.name: EdgeConfinement.begin()
        case MCPCommand.configuration.commandName: BridgeMCPCommand.begin()
        default: break
        }
    }

    package static func run(_ arguments: [String]) async -> Never {
        // A reader that goes away (`postern … | head`) ends the command by a failed write, not a service by a signal.
        signal(SIGPIPE, SIG_IGN)
        let terminal = Terminal()
        if let refusal = SecretArgument.refusal(arguments) {
            terminal.complain(refusal)
            exit(CommandStatus.usage.rawValue)
        }
        do {
            var command = try PosternCommand.parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            exit(CommandStatus.success.rawValue)
        } catch let error as CommandError {
            terminal.complain(error.message)
            exit(error.status.rawValue)
        } catch let error as ConfigurationError {
            for problem in error.problems { terminal.complain(problem) }
            exit(CommandStatus.configuration.rawValue)
        } catch let status as ExitCode {
            exit(status.rawValue)
        } catch {
            // Help, version and wrong arguments are the parser's to word.
            guard PosternCommand.exitCode(for: error) == .failure else { PosternCommand.exit(withError: error) }
            terminal.complain("\(error)")
            exit(CommandStatus.failure.rawValue)
        }
    }
}

/// A key given as an argument is visible to every user of the machine and lands in the shell's history: it is refused, whatever the command.
enum SecretArgument {
    /// What to say, or nil if there is none. Nothing of the argument's value is repeated.
    static func refusal(_ arguments: [String]) -> String? {
        // What follows `--` belongs to the command in the sandbox.
        for argument in arguments.prefix(while: { $0 != "--" }) {
            for key in ConfigurationKey.all where key.isSecret && (argument == "--\(key.flag)" || argument.hasPrefix("--\(key.flag)=")) {
                let file = ConfigurationKey.all.first { $0.section == key.section && $0.name == "\(key.name)_file" }
                let variable = key.aliases.first ?? key.variable
                let remedy = file.map { "Put it into a file and give --\($0.flag) FILE, or set \(variable)." } ?? "Set \(variable)."
                return "--\(key.flag) is refused: every user of this machine can read a key in the arguments. \(remedy)"
            }
        }
        return nil
    }
}
