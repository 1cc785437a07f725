import FoundationEssentials
import PosternConnector
import PosternTunnelWire

/// What callers will see in the inner TLS handshake, without a handshake: the connector's server certificate, and whom callers have to trust for it.
struct ServerFindings {
    let configuration: ConnectorConfiguration
    let files: ServerFiles
    /// The tunnel's CA, where it is known here, and its file.
    let authority: TunnelAuthority?
    let authorityFile: String
    let runtimesExpire: Date
    let now: Date

    func findings() -> [StepFinding] { [certificate(), callers(), trust()] }

    private func certificate() -> StepFinding {
        var finding = StepFinding(verdict: .good, subject: "connector", step: "inner TLS", detail: "")
        let texts = try? files.read()
        func standing(_ days: Double) -> ServerStanding {
            ServerStanding(
                certificate: texts?.certificate, keys: texts?.key,
                hosts: ServerStanding.hosts(routes: Array(configuration.routes.keys), domain: configuration.tunnel.domain), authority: authority,
                now: now, before: days * 86_400)
        }
        let left = standing(0).daysLeft(at: now).map { "\($0) day\($0 == 1 ? "" : "s") left" } ?? "no certificate"
        if let problem = standing(0).problem {
            finding.verdict = .failed
            finding.detail = "the server certificate \(files.certificate): \(problem)"
            finding.remedy = "run `postern connector renew`; with a PKI of your own, `postern connector setup --csr`"
            return finding
        }
        guard let authority else {
            finding.verdict = .warning
            finding.detail = "the server certificate is valid, \(left); whether the tunnel's CA has signed it was not looked at"
            finding.remedy = "put the CA's certificate to \(authorityFile), or give --ca-file"
            return finding
        }
        finding.detail = "the server certificate keeps every rule and is signed by the tunnel's CA \(authority.fingerprint.prefix(16))…, \(left)"
        if standing(25).problem != nil {
            finding.verdict = .warning
            finding.remedy = "run `postern connector renew` daily, by a timer: it renews 30 days before the end"
        }
        return finding
    }

    private func callers() -> StepFinding {
        let days = ServerStanding.days(until: runtimesExpire, from: now)
        var finding = StepFinding(
            verdict: .good, subject: "connector", step: "callers",
            detail: "the runtime authority that callers' certificates are checked by: \(days) days left")
        if days == 0 {
            finding.verdict = .failed
            finding.remedy = "the control plane makes a new one: remove \(configuration.runtimeAuthorityFile) and run `postern connector setup` again"
        }
        return finding
    }

    /// Architecture, section 8: the promise from end to end depends on whom a caller trusts.
    private func trust() -> StepFinding {
        let domain = configuration.tunnel.domain
        return StepFinding(
            verdict: .good, subject: "connector", step: "trust",
            detail:
                "callers that trust the tunnel's CA alone (\(authorityFile)) are sure of this connector. One that trusts public authorities as well is sure "
                + "of it only where nobody but you can get a certificate for *.\(domain): where that domain is yours")
    }
}
