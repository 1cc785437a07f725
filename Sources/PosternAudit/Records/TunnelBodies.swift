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
        /// `allowed`, `would_refuse` of a policy that only records, or the reason of a refusal.
        package var decision: String
        /// What the policy of the route read in the body; empty without one.
        package var messages: [Message] = []
        /// Of the policy, where it refuses or would.
        package var rule: String?

        /// A message of MCP.
        package struct Message: Sendable, Equatable {
            /// Empty for a response.
            package var method: String
            /// That is called; `nil` where none is.
            package var tool: String?
            /// Of a tool call its arguments, of another message its parameters; `nil` where it has none.
            package var input: Content?

            package init(method: String, tool: String?, input: Content? = nil) {
                self.method = method
                self.tool = tool
                self.input = input
            }
        }

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
        /// Tools that the policy left out of the answer, or would have.
        package var hiddenTools = 0
        /// The bytes of both bodies: as they went upstream, and as they went to the caller. `nil` where there were none.
        package var request: Digest?
        package var answer: Digest?
        /// Results and errors that the answer held, in its order, before redaction; of a route with a policy.
        package var outputs: [Content] = []
        /// How many more there were.
        package var furtherOutputs = 0

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
