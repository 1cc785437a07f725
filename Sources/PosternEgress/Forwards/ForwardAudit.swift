import NIOCore
import PosternPolicy

/// What a forward is about to do. It is durable before it is done.
package enum ForwardIntent: Hashable, Sendable {
    /// Dial the target. For PostgreSQL `dropped` names the startup parameters that are not passed on.
    case connect(dropped: [String])
    /// Pass a statement on.
    case statement(PostgresStatement)
    /// Ask the database to cancel what another session of this sandbox runs.
    case cancel
}

/// How a connection through a forward ended.
package struct ForwardOutcome: Hashable, Sendable {
    package enum End: Hashable, Sendable {
        case client
        case upstream
        /// A bound of the policy was reached.
        case bound(String)
        /// Refused or failed, with the reason the client was given.
        case refused(String)
    }
    package var end = End.client
    /// Bytes passed to the target and back.
    package var sent = 0
    package var received = 0
    /// Statements passed on, and error answers of the database. 0 for other than PostgreSQL.
    package var statements = 0
    package var errors = 0
}

/// A byte budget of the policy is used up.
package struct ForwardBudgetSpent: Error, Hashable, Sendable, CustomStringConvertible {
    package var reason: String
    package var remedy: String
    package var description: String { "\(reason); \(remedy)" }
}

/// The door from a forward to the gate and the audit. `connection` numbers the connections of one forward from 1.
package protocol ForwardAudit: Sendable {
    /// Returns once the intent is durable. Throwing refuses it: what cannot be recorded is not done.
    func intend(_ intent: ForwardIntent, forward: Forward, connection: Int) async throws
    /// Counts bytes against the policy's budgets before they go to the target. Throws `ForwardBudgetSpent` when one is used up.
    func spend(_ bytes: Int, forward: Forward, connection: Int) async throws
    func ended(_ outcome: ForwardOutcome, forward: Forward, connection: Int) async
}

/// Connects to the target of a forward: resolves its name, checks every address against the address policy and dials exactly the checked
/// one. The channel that it returns is connected, has no handlers, does not read by itself yet and allows its peer to close one half.
package typealias ForwardDial = @Sendable (Authority) async throws -> any Channel
