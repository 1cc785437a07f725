import PosternHTTP
import PosternPolicy

/// Something that does not leave, and what the client is told about it.
struct CallRefusal: Error, Sendable, Hashable {
    var status: Int
    var report: EgressRefusal

    init(_ status: Int, _ report: EgressRefusal) {
        self.status = status
        self.report = report
    }

    init(_ decision: NetworkDecision, _ destination: Authority) {
        self.init(
            403,
            EgressRefusal(kind: .policy, destination: destination, rule: decision.rule, reason: decision.reason, remedy: decision.remedy))
    }

    init(_ refusal: HTTPRefusal, _ destination: Authority? = nil) {
        self.init(refusal.status, EgressRefusal(kind: .malformed, destination: destination, reason: refusal.reason, remedy: ""))
    }

    init(_ refusal: AddressRefusal, _ destination: Authority, rule: String?) {
        let reason = "\(destination.host) leads to \(refusal.address), \(refusal.kind)"
        self.init(
            403,
            EgressRefusal(
                kind: .address, destination: destination, rule: rule, reason: reason, remedy: refusal.remedy, address: refusal.address))
    }

    init(_ misplaced: RequestSecrets.Misplaced, _ destination: Authority, rule: String?) {
        self.init(
            403,
            EgressRefusal(
                kind: .secret, destination: destination, rule: rule,
                reason: "the placeholder of secret \"\(misplaced.secret)\" stands in \(misplaced.place)",
                remedy: "send it only where the policy binds the secret", secret: misplaced.secret))
    }

    /// Secrets that were given to the session when the request was decided and are not any more.
    init(withdrawn secrets: [String], _ destination: Authority, rule: String?) {
        let names = secrets.map { "\"\($0)\"" }.joined(separator: ", ")
        self.init(
            403,
            EgressRefusal(
                kind: .secret, destination: destination, rule: rule,
                reason: "the session's policy became narrower and does not let the secrets of this request (\(names)) go there any more",
                remedy: "", secret: secrets.first))
    }

    init(_ blocked: RedactionBlocked, _ destination: Authority, rule: String?) {
        self.init(
            403,
            EgressRefusal(
                kind: .redaction, destination: destination, rule: rule,
                reason: "the body holds what the redaction rule \"\(blocked.rule)\" keeps inside", remedy: "leave it out of the request"))
    }

    init(_ overrun: BudgetLedger.Overrun, _ destination: Authority, rule: String?) {
        self.init(
            403,
            EgressRefusal(
                kind: .budget, destination: destination, rule: rule,
                reason: "the budget of \(overrun.limit) bytes per \(overrun.kind.rawValue) is used up (\(overrun.used) bytes)",
                remedy: "an operator can raise budgets.egress.\(overrun.kind.rawValue) or approve more"))
    }

    /// The same, as a question for the credential that is missing (401).
    var asking: CallRefusal {
        var refusal = self
        (refusal.status, refusal.report.kind) = (401, .authentication)
        return refusal
    }

    /// The same, with what the request was.
    func of(_ request: ForwardedRequest) -> CallRefusal {
        var refusal = self
        (refusal.report.method, refusal.report.path) = (request.head.method, String(request.path.path.prefix(EgressRefusal.longestPath + 1)))
        return refusal
    }

    /// One readable line.
    var line: String {
        let place = report.destination.map { " to \($0)" } ?? ""
        let remedy = report.remedy.isEmpty ? "" : " Remedy: \(report.remedy)."
        return "Postern refused this request\(place): \(report.reason).\(remedy)"
    }

    /// The whole answer. The status line carries the reason too, since clients show little else of a refused CONNECT.
    func response(keepAlive: Bool) -> [UInt8] {
        let body = Array((line + "\n").utf8)
        var fields = HTTPFields()
        fields.append("Content-Type", "text/plain; charset=utf-8")
        fields.append("Content-Length", String(body.count))
        fields.append("Postern-Egress-Rule", report.rule ?? "none")
        fields.append("Cache-Control", "no-store")
        if status == 407 { fields.append("Proxy-Authenticate", "Basic realm=\"postern\"") }
        if status == 401 { fields.append("WWW-Authenticate", "Basic realm=\"postern\"") }
        fields.append("Connection", keepAlive ? "keep-alive" : "close")
        let reason = status == 403 ? "Forbidden by egress policy: \(report.reason)" : status == 407 ? "Proxy Authentication Required" : report.reason
        let phrase = reason.utf8.map { $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "?") }.prefix(200)
        var output = Array("HTTP/1.1 \(status) ".utf8) + phrase + [0x0D, 0x0A]
        fields.write(to: &output)
        return output + body
    }
}
