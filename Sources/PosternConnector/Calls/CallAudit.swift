import PosternAudit
import PosternTunnelWire

/// A call as it is recorded: who, where to, what; no path, no header, and of the body digests, unless its route asks for more.
package struct CallRecord: Sendable, Hashable {
    /// Unique within the run of the connector.
    package var id: String
    package var identity: RuntimeIdentity
    package var route: String
    package var upstream: String
    package var method: String
    /// What the policy of the route said; `nil` where it has none, or has not been asked.
    package var judged: Judged?

    package struct Judged: Sendable, Hashable {
        /// The messages of the body: their methods, and the tools that they call.
        package var messages: [Message]
        /// Of a refusal, also where the policy only records.
        package var rule: String?
        package var isDryRun: Bool

        package struct Message: Sendable, Hashable {
            package var method: String
            package var tool: String?
            /// By its digest; `nil` where nothing is recorded, or there is none.
            package var input: AuditRecord.Content?
        }
    }
}

/// Records calls: the intent before the first byte goes upstream, the outcome after, or that there was none.
protocol CallAudit: Sendable {
    /// Takes down what one call says.
    /// - Parameter rules: of its route, for payloads.
    func content(_ settings: RouteAudit, _ rules: PayloadRules?) -> CallContent
    /// Returns when the intent is on the disk. Where it throws, nothing goes upstream.
    func begins(_ call: CallRecord) async throws(CallError)
    func ended(_ call: CallRecord, _ progress: CallProgress.State, error: CallError?, milliseconds: Int) async throws(CallError)
    /// A document comes into force. Where it throws, it does not.
    func configured(number: Int, digest: String) async throws(CallError)
    /// - Parameter call: `nil` where it was refused before there was a request of somebody known.
    func refused(_ call: CallRecord?, id: String, route: String?, _ error: CallError) async throws(CallError)
}
