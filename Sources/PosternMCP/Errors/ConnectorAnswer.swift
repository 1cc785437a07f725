import PosternJSON

/// What a tunnel's connector says in the place of the server behind it: an answer with `Postern-Answer-By: connector` and a JSON body with a
/// `reason`.
enum ConnectorAnswer {
    static let field = "postern-answer-by"

    /// - Parameter by: the value of the header field.
    static func isOne(status: Int, by: String?) -> Bool { status >= 400 && by == "connector" }

    /// The error that an answer means, whatever its body is.
    static func error(status: Int, body: [UInt8]) -> MCPError {
        let json = try? JSON(parsing: body)
        let reason = json?["reason"]?.string ?? "status \(status)"
        let message = json?["error"]?["message"]?.string ?? HTTPExchange.excerpt(body)
        // The only one that comes after the request has gone to the server.
        if reason == "upstream_answer" { return .outcomeUnknown("the tunnel's connector: \(message)") }
        return .connector(reason: String(reason.prefix(64)), String(message.prefix(600)))
    }
}
