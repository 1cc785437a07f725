/// Why a sandbox could not do what was asked. A tool's own failure is never one of these: it is a `ToolOutcome`.
package struct SandboxError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// This machine cannot give the boundary that was asked for; the message has the remedy.
        case unavailable
        /// The request breaks a rule (a name, a limit, user 0).
        case refused
        /// The sandbox did not start.
        case startFailed
        /// The sandbox, or the spawner with all of them, has ended.
        case lost
        /// The task was cancelled, and the call with it.
        case cancelled
    }

    package var code: Code
    /// For the worker's user; holds no secret.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
