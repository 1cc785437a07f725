import PosternPolicy
import Synchronization

/// Takes the records of a session's forwards to the worker, and their bytes to the session's budgets.
final class ForwardReporter: ForwardAudit {
    private struct Connection: Hashable {
        var forward: String
        var number: Int
    }
    private let context: SessionContext
    /// What each connection has sent, for the budget of one call.
    private let calls = Mutex<[Connection: BudgetLedger.Call]>([:])

    init(_ context: SessionContext) {
        self.context = context
    }

    func intend(_ intent: ForwardIntent, forward: Forward, connection: Int) async throws {
        let (session, report) = (context.session, report(.intent(intent), forward, connection))
        try await context.reporter.record { .forward(id: $0, session: session, report) }
    }

    /// A connection sends from one task, so its call is in one pair of hands while the perimeter is asked for more.
    func spend(_ bytes: Int, forward: Forward, connection: Int) async throws {
        let key = Connection(forward: forward.name, number: connection)
        var call = calls.withLock { $0[key] } ?? BudgetLedger.Call(host: forward.target.host)
        do {
            try await context.spend(bytes, &call, forward.target, rule: nil)
        } catch let refusal as CallRefusal {
            try await context.record(refusal)
            throw ForwardBudgetSpent(reason: refusal.report.reason, remedy: refusal.report.remedy)
        }
        let spent = call
        calls.withLock { $0[key] = spent }
    }

    func ended(_ outcome: ForwardOutcome, forward: Forward, connection: Int) async {
        calls.withLock { _ = $0.removeValue(forKey: Connection(forward: forward.name, number: connection)) }
        context.reporter.post(.forward(id: 0, session: context.session, report(.ended(outcome), forward, connection)))
    }

    private func report(_ event: ForwardReport.Event, _ forward: Forward, _ connection: Int) -> ForwardReport {
        ForwardReport(
            forward: forward.name, destination: forward.target, connection: connection, policyDigest: context.policyDigest, event: event)
    }
}
