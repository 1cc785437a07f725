import FoundationEssentials
import ManagedAgentsAPI
import PosternConnector
import PosternPolicy
import PosternTunnelWire

/// What the way to one edge looks like: DNS, proxy, TCP, outer TLS, registration, clock.
struct EdgeFindings {
    let edges: ConnectorConfiguration.Edges
    let address: Authority
    let now: Date

    private var subject: String { "edge \(address)" }
    /// What TCP is made to.
    private var peer: Authority { edges.proxy?.address ?? address }
    private var peerName: String { edges.proxy == nil ? "the edge" : "the proxy" }

    func findings(_ outcome: EdgeProbe.Outcome) -> [StepFinding] {
        var findings = outcome.steps.flatMap { good($0.step, $0.duration, outcome) }
        if let failure = outcome.failure { findings.append(failed(failure, outcome.failedAfter)) }
        return findings
    }

    private func good(_ step: DialStep, _ duration: Duration, _ outcome: EdgeProbe.Outcome) -> [StepFinding] {
        func good(_ name: String, _ detail: String) -> [StepFinding] {
            [StepFinding(verdict: .good, subject: subject, step: name, detail: detail, duration: duration)]
        }
        switch step {
        case .resolved(let host, let addresses):
            return good("DNS", "\(host) is \(addresses.prefix(4).map(\.description).joined(separator: ", "))")
        case .connected(let ip, let port): return good("TCP", "\(peerName) at \(ip) takes connections on port \(port)")
        case .proxyTLS: return good("proxy TLS", "the proxy's certificate holds")
        case .proxied: return good("proxy", "\(edges.proxy?.description ?? "the proxy") connects to \(address), whose name it resolves")
        case .outerTLS(let certificate): return good("outer TLS", "").map { outer($0, certificate) }
        case .answered(let date): return date.flatMap(clock).map { [$0] } ?? []
        case .accepted:
            return good(
                "registration", outcome.isNewlyEnrolled ? "a leg stood; the token has enrolled the connector's key" : "a leg stood, and was ended")
        }
    }

    private func outer(_ finding: StepFinding, _ der: [UInt8]) -> StepFinding {
        var finding = finding
        let by = edges.caFile.map { "a private authority (\($0))" } ?? "an authority of the system's"
        guard let certificate = EdgeCertificate(der: der) else {
            finding.detail = "the certificate is for \(edges.name), by \(by)"
            return finding
        }
        let days = ServerStanding.days(until: certificate.expires, from: now)
        finding.detail = "the certificate is for \(edges.name), by \(by): \(certificate.issuer); \(days) days left"
        guard days < 3 else { return finding }
        finding.verdict = .warning
        finding.remedy = "tell the edge's operator: legs end with the certificate"
        return finding
    }

    /// Certificates of callers live for minutes.
    private func clock(_ date: String) -> StepFinding? {
        guard let theirs = HTTPDate.unixTime(date) else { return nil }
        let skew = abs(Int64(now.timeIntervalSince1970) - theirs)
        let detail = "\(skew) s from the edge's"
        guard skew > 30 else { return StepFinding(verdict: .good, subject: subject, step: "clock", detail: detail) }
        return StepFinding(
            verdict: skew > 300 ? .failed : .warning, subject: subject, step: "clock", detail: detail,
            remedy: "run a time service: callers' certificates are good for minutes, by this host's clock")
    }

    private func failed(_ failure: EdgeProbe.Failure, _ duration: Duration) -> StepFinding {
        func failed(_ step: String, _ detail: String, _ remedy: String, _ verdict: StepFinding.Verdict = .failed) -> StepFinding {
            StepFinding(verdict: verdict, subject: subject, step: step, detail: detail, remedy: remedy, duration: duration)
        }
        switch failure {
        case .name(let reason):
            return failed(
                "DNS", reason,
                edges.proxy == nil
                    ? "see whether the name in edges.addresses is right and this host resolves it; a corporate proxy resolves it itself: edges.proxy"
                    : "see whether the name in edges.proxy.url is right and this host resolves it")
        case .connection(let reason):
            return failed(
                "TCP", "\(peer): \(reason)",
                edges.proxy == nil
                    ? "let this host connect outwards to \(peer) (TCP), or name the corporate proxy as edges.proxy"
                    : "let this host connect to the proxy at \(peer) (TCP)")
        case .proxyTLS(let reason):
            let remedy =
                switch reason.kind {
                case .untrusted: "name the authority of the proxy's certificate as edges.proxy.ca_file"
                case .otherName: "write the name in the proxy's certificate into edges.proxy.url"
                case .timedOut, .other: "see whether the proxy speaks TLS at \(peer): else write http:// in edges.proxy.url"
                }
            return failed("proxy TLS", "\(reason)", remedy)
        case .proxy(let reason, let remedy): return failed("proxy", reason, remedy)
        case .edgeTLS(let reason): return failed("outer TLS", "\(reason)", outerRemedy(reason))
        case .answer(let reason):
            return failed("registration", reason, "see whether \(address) is an edge of Postern, and whether something on the way ends TLS")
        case .refused(let refusal):
            let isFull = refusal.reason == .tooManyLegs
            return failed(
                "registration", "the edge refuses the leg (\(refusal.reason.rawValue)): \(refusal)", Self.remedy(refusal), isFull ? .warning : .failed
            )
        }
    }

    private func outerRemedy(_ reason: TLSFailure) -> String {
        switch reason.kind {
        case .untrusted where edges.caFile != nil:
            "edges.ca_file has to hold the authority of the edge's certificate; where a proxy on the way inspects TLS, have it leave \(edges.name) alone"
        case .untrusted:
            "name the edge's authority as edges.ca_file where it is a private one; where a proxy on the way inspects TLS, have it leave \(edges.name) alone"
        case .otherName: "write the name in the edge's certificate as edges.name, which is \(edges.name) now"
        case .timedOut, .other: "see whether an edge listens at \(address), and whether something on the way cuts TLS"
        }
    }

    private static func remedy(_ refusal: LegRefusal) -> String {
        switch refusal.reason {
        case .tokenUnknown: "fetch the tunnel's token again with `postern connector setup`; see whether the edge belongs to the same control plane"
        case .tokenRotated: "fetch the new token: run `postern connector setup` again"
        case .tunnelArchived: "see whether tunnel.id is right; an archived tunnel is gone for good: set another one up in another folder"
        case .notEnrolled:
            "name the tunnel token as identity.enrolment_token_file (`postern connector setup` fetches it); a key that was revoked never comes back: "
                + "remove connector.key and connector.pem, and run setup again"
        case .noConnectorKey:
            "something on the way ends TLS, so that the connector's certificate does not reach the edge: have it leave the edge alone, or write "
                + "edges.proof: challenge where the edge takes that (--leg-proof challenge)"
        case .proofRefused:
            "something on the way ends TLS that the edge does not know (its --leg-terminators), or edges.name is not the edge's own name: ask who runs it"
        case .proofNotTaken: "write edges.proof: certificate, or have the edge started with --leg-proof challenge"
        case .tooManyLegs: "the tunnel has as many legs as it may have: end connectors that are not needed, or lower \"legs\""
        case .replaced: "run it again; where that helps never, another connector has the same name and key: give each a \"name\" of its own"
        case .unavailable: "try again in a minute; the edge's log says why"
        case .malformed: "use an edge and a connector of the same version"
        }
    }
}
