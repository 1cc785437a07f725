import ArgumentParser

/// The exit statuses of `postern`, all of them. Where there is a convention (sysexits.h, `env`, shells) it is kept.
package enum CommandStatus: Int32, Sendable, CaseIterable {
    case success = 0
    /// The API refused the request, or something failed that has no status of its own.
    case failure = 1
    /// A session ended with an error: retries exhausted, budget reached, refused by the model, terminated. `mcp call`: the tool itself failed.
    case sessionFailed = 2
    /// A session waits for an answer that this command does not give: a confirmation, or a custom tool's result. `mcp call`: the tool asks for more.
    case sessionWaits = 3
    /// The thing named does not exist.
    case notFound = 4
    /// A check found something wrong (`doctor`, `store check`).
    case checkFailed = 5
    /// Wrong arguments.
    case usage = 64
    /// Nothing answers at the base URL.
    case unavailable = 69
    /// The key is missing, wrong, expired, or its role does not allow this.
    case refused = 77
    /// A setting is missing or wrong.
    case configuration = 78
    /// `sandbox run`: the sandbox could not be made. Every other status there is the command's own.
    case sandboxFailed = 125
    /// Stopped by Ctrl-C.
    case interrupted = 130

    package var code: ExitCode { ExitCode(rawValue) }

    /// One line for the reference and for `postern --help`.
    package var meaning: String {
        switch self {
        case .success: "done; for a session: its turn ended"
        case .failure: "refused by the API, or failed"
        case .sessionFailed: "the session ended with an error; mcp call: the tool failed"
        case .sessionWaits: "the session waits for a confirmation or a custom tool's result; mcp call: the tool asks for more"
        case .notFound: "what was named does not exist"
        case .checkFailed: "a check found something wrong"
        case .usage: "wrong arguments"
        case .unavailable: "nothing answers at the base URL, or at the MCP server's"
        case .refused: "the key is missing, wrong, or not allowed to do this"
        case .configuration: "a setting is missing or wrong"
        case .sandboxFailed: "sandbox run: the sandbox could not be made"
        case .interrupted: "stopped by Ctrl-C"
        }
    }

    /// For a discussion in `--help`.
    package static let reference: String = allCases.map { status in
        let number = String(status.rawValue)
        return "  " + String(repeating: " ", count: 3 - number.count) + "\(number)  \(status.meaning)"
    }.joined(separator: "\n")
}

/// A failure with its status; the message goes to standard error as `postern: …`.
package struct CommandError: Error, CustomStringConvertible {
    package var status: CommandStatus
    package var message: String

    package init(_ status: CommandStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    package var description: String { message }
}
