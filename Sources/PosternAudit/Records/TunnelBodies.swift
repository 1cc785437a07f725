extension AuditRecord {
    /// A call through a tunnel that a connector decided on.
    package struct TunnelCall: Sendable, Equatable {
        /// Joins intent and outcome; unique within the run of the connector.
        package var id: String
        package var tunnel: String
        /// `nil` where no route was reached.
        package var route: String?
        /// Where the call goes: scheme, host and port.
        package var upstream: String?
        package var method: String?
        /// What the caller's certificate says of it, such as `client` or `agent`; empty where none was accepted.
        package var caller: [String: String]
        /// `allowed`, or the reason of a refusal.
        package var decision: String

        package init(
            id: String, tunnel: String, route: String?, upstream: String?, method: String?, caller: [String: String], decision: String
        ) {
            self.id = id
            self.tunnel = tunnel
            self.route = route
            self.upstream = upstream
            self.method = method
            self.caller = caller
            self.decision = decision
        }
    }

    package struct TunnelOutcome: Sendable, Equatable {
        /// That of the intent.
        package var id: String
        /// The upstream's HTTP status; `nil` where there was none.
        package var status: Int?
        /// Of the bodies.
        package var bytesSent: Int
        package var bytesReceived: Int
        package var milliseconds: Int
        /// Why it failed; `nil` if it did not.
        package var error: String?

        package init(id: String, status: Int?, bytesSent: Int, bytesReceived: Int, milliseconds: Int, error: String?) {
            self.id = id
            self.status = status
            self.bytesSent = bytesSent
            self.bytesReceived = bytesReceived
            self.milliseconds = milliseconds
            self.error = error
        }
    }
}
