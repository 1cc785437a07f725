import PosternConnector
import PosternPolicy
import PosternTLS

/// What the way of a call to one route's upstream looks like: route, address policy, TCP, TLS.
struct RouteFindings {
    let name: String
    let route: ConnectorConfiguration.Route

    private var subject: String { "route \(name)" }

    /// Who may call.
    func callers() -> StepFinding {
        let policy = route.policy.map { $0.mode == .enforce ? ", under a policy" : ", under a policy that only records" } ?? ""
        let detail = "\(route.upstream)\(policy)"
        guard route.callers.isNobody else { return StepFinding(verdict: .good, subject: subject, step: "route", detail: detail) }
        return StepFinding(
            verdict: .warning, subject: subject, step: "route", detail: "\(detail); nobody may call it",
            remedy: "name callers in routes.\(name).callers")
    }

    /// Of an upstream that no message of MCP was sent to.
    func unasked() -> StepFinding {
        let why = route.upstream.child == nil ? "a unix socket is not asked here" : "the server is started by the first call, not here"
        return StepFinding(
            verdict: .warning, subject: subject, step: "MCP", detail: why,
            remedy: "ask it through the tunnel: postern mcp probe --certificate FOLDER URL")
    }

    func findings(_ outcome: UpstreamProbe.Outcome) -> [StepFinding] {
        var findings = outcome.steps.map { step, duration in
            let (name, detail) = describe(step)
            return StepFinding(verdict: .good, subject: subject, step: name, detail: detail, duration: duration)
        }
        if let failure = outcome.failure {
            let (step, detail, remedy) = describe(failure)
            findings.append(
                StepFinding(verdict: .failed, subject: subject, step: step, detail: detail, remedy: remedy, duration: outcome.failedAfter))
        }
        return findings
    }

    private func describe(_ step: UpstreamProbe.Step) -> (String, String) {
        switch step {
        case .resolved(let addresses): ("DNS", "the name is \(addresses.prefix(4).map(\.description).joined(separator: ", "))")
        case .allowed(let addresses): ("address policy", "\(addresses.prefix(4).map(\.description).joined(separator: ", ")) may be dialled")
        case .connected(let address): ("upstream TCP", "\(address) takes connections on port \(route.upstream.authority?.port ?? 0)")
        case .listening(let path): ("upstream socket", "\(path) takes connections")
        case .tls: ("upstream TLS", "the certificate holds, by \(route.caFile.map { "the authorities in \($0)" } ?? "the system's authorities")")
        }
    }

    private func describe(_ failure: UpstreamProbe.Failure) -> (String, String, String) {
        switch failure {
        case .name(let reason): return ("DNS", reason, "see whether the name in routes.\(name).upstream is right, and whether this host resolves it")
        case .address(let refusal):
            return (
                "address policy", "\(refusal)",
                "if the server is meant to be there, name it: routes.\(name).addresses: [\"\(refusal.address)\"]; else look at who answers for the name"
            )
        case .connection(let reason):
            guard let authority = route.upstream.authority else {
                return ("upstream socket", reason, "start the MCP server, and let the connector's user open its socket")
            }
            return ("upstream TCP", reason, "start the MCP server, see its port, and let this host connect to \(authority)")
        case .tls(let reason):
            let remedy =
                switch reason {
                case .untrusted: "name the authority of its certificate as routes.\(name).ca_file"
                case .otherName, .unrecognizedName: "write the name in its certificate into routes.\(name).upstream"
                default: "see whether the server speaks TLS there: else write http:// in routes.\(name).upstream"
                }
            return ("upstream TLS", "\(reason)", remedy)
        }
    }
}
