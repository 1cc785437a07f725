extension AuditRecord {
    /// A request that the egress proxy decided on.
    package struct EgressRequest: Sendable, Equatable {
        /// Joins intent, outcome and secret uses; unique within the session.
        package var id: String
        package var host: String
        package var port: Int
        /// `CONNECT`, an HTTP method, `TCP` for a forward, `DNS`.
        package var method: String
        /// A keyed digest: a path may hold a secret.
        package var path: Digest?
        /// The address that is dialled; `nil` before it is known.
        package var address: String?
        /// The rule that decided; `nil` where none matched.
        package var rule: String?
        /// The decision, or the reason of a refusal.
        package var decision: String
        /// Not inspected.
        package var isOpaque: Bool

        package init(
            id: String, host: String, port: Int, method: String, path: Digest? = nil, address: String? = nil, rule: String?, decision: String,
            isOpaque: Bool = false
        ) {
            self.id = id
            self.host = host
            self.port = port
            self.method = method
            self.path = path
            self.address = address
            self.rule = rule
            self.decision = decision
            self.isOpaque = isOpaque
        }
    }

    package struct EgressOutcome: Sendable, Equatable {
        /// That of the intent.
        package var id: String
        /// The HTTP status; `nil` where there was none.
        package var status: Int?
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

    /// A statement of a forwarded database connection.
    package struct Statement: Sendable, Equatable {
        /// The connection: the id of its egress intent.
        package var connection: String
        package var text: Digest
        /// The first word, such as `SELECT`.
        package var keyword: String
        package var database: String
        package var role: String

        package init(connection: String, text: Digest, keyword: String, database: String, role: String) {
            self.connection = connection
            self.text = text
            self.keyword = keyword
            self.database = database
            self.role = role
        }
    }

    package struct SecretUse: Sendable, Equatable {
        /// The name that the policy gives it.
        package var name: String
        package var host: String
        /// Where it was put, such as `header authorization`.
        package var place: String
        /// The id of the egress intent.
        package var request: String

        package init(name: String, host: String, place: String, request: String) {
            self.name = name
            self.host = host
            self.place = place
            self.request = request
        }
    }

    package struct SecretChange: Sendable, Equatable {
        package enum State: String, Sendable, CaseIterable {
            /// A new value is in use.
            case replaced
            /// No new one could be had, and the last one is used on.
            case kept
            /// There is none any more: what needs it fails.
            case withdrawn
        }

        /// The name that the policy gives it.
        package var name: String
        package var state: State
        /// What speaks against a new value. Holds nothing secret.
        package var reason: String?

        package init(name: String, state: State, reason: String? = nil) {
            self.name = name
            self.state = state
            self.reason = reason
        }
    }

    package struct BudgetState: Sendable, Equatable {
        /// `event`, `call`, `session`, `day` or `host NAME`.
        package var scope: String
        package var limit: Int
        package var used: Int
        /// `warned`, `exhausted`, `raised`.
        package var state: String

        package init(scope: String, limit: Int, used: Int, state: String) {
            self.scope = scope
            self.limit = limit
            self.used = used
            self.state = state
        }
    }
}
