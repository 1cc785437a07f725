import PosternJSON

/// What a tunnel's connector says in the place of the server behind it: an answer with `Postern-Answer-By: connector` and a JSON body with a
/// `reason`, and whether a byte of the request was `sent` to the server by then.
enum ConnectorAnswer {
    static let field = "postern-answer-by"

    /// Reasons that never come after the request has gone, for answers without a `sent` that can be read. Any other one leaves it open whether the
    /// server has acted: one that is new, too.
    private static let beforeSending: Set<String> = [
        "caller_not_allowed", "route_not_opened", "certificate_refused", "policy", "misdirected_request", "unknown_session", "upstream_address",
        "upstream_name", "route_busy", "caller_busy", "too_slow", "registration_fork", "registration_rules", "registration_unproven",
        "registration_stale", "unknown_authority", "unknown_connector_key",
    ]

    /// - Parameter by: the value of the header field.
    static func isOne(status: Int, by: String?) -> Bool { status >= 400 && by == "connector" }

    /// The error that an answer means, whatever its body is.
    /// - Parameter hasSession: whether the request named a session, which is lost where the connector does not know it.
    static func error(status: Int, body: [UInt8], hasSession: Bool) -> MCPError {
        let json = try? JSON(parsing: body)
        // A policy's refusal has its reason in the data of a JSON-RPC error.
        let reason = json?["reason"]?.string ?? json?["error"]?["data"]?["reason"]?.string
        let message = json?["error"]?["message"]?.string ?? HTTPExchange.excerpt(body)
        let said = json?["sent"]
        let isUnsent = if let said { said == false } else { reason.map(beforeSending.contains) ?? false }
        guard isUnsent else {
            let name = (reason ?? "status \(status)").prefix(64)
            return .outcomeUnknown("the tunnel's connector (\(name)): \(message.prefix(600))")
        }
        if reason == "unknown_session", hasSession { return .sessionLost }
        return .connector(reason: String((reason ?? "status \(status)").prefix(64)), String(message.prefix(600)))
    }
}
