import PosternPolicy

/// What of a route's calls is in the audit log besides digests: nothing, unless it is asked for.
package struct RouteAudit: Hashable, Sendable {
    /// Arguments of tools, and parameters of other methods.
    package var arguments = false
    /// Results and errors.
    package var results = false
    /// Of each record, bytes after redaction.
    package var payloadBytes = 16 << 10

    /// With room for the escapes of a line: no record has more than 1 MiB.
    package static let bytes = 256...(64 << 10)

    /// The words of the document.
    enum Payloads: String, CaseIterable { case none, arguments, results, both }

    package init() {}
}

extension DocumentReader {
    /// The `audit` of a route.
    /// - Parameters:
    ///   - isRead: whether the route has a policy, which reads messages.
    ///   - isKept: whether the document has a log.
    mutating func audit(_ route: Mapping, isRead: Bool, isKept: Bool) -> RouteAudit {
        var audit = RouteAudit()
        guard let node = route["audit"] else { return audit }
        let map = map(node, route.path.key("audit"), known: ["payloads", "payload_bytes"])
        let payloads = choice(map, "payloads", RouteAudit.Payloads.self) ?? .none
        audit.arguments = payloads == .arguments || payloads == .both
        audit.results = payloads == .results || payloads == .both
        audit.payloadBytes = bytes(map, "payload_bytes", in: RouteAudit.bytes) ?? audit.payloadBytes
        guard payloads != .none else { return audit }
        let path = map.path.key("payloads")
        if !isRead { add(node.place, path, "is of messages, and without a policy none is read", "give the route a policy, or leave it out") }
        if !isKept { add(node.place, path, "has no log to be in", "name one under audit.file at the top of the document, or leave it out") }
        return audit
    }
}
