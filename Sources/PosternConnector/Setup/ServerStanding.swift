import FoundationEssentials
import PosternTunnelWire
import X509

/// How a connector's server certificate stands: until when it is good, and why it has to be replaced.
package struct ServerStanding: Hashable, Sendable {
    /// When it ends; `nil` where there is no certificate that can be read.
    package let expires: Date?
    /// Why it does not do, or soon will not; `nil` while it is good.
    package let problem: String?

    /// - Parameters:
    ///   - certificate: the text of the certificate's file; `nil` where there is none.
    ///   - keys: of its key's file.
    ///   - hosts: the routes' names, each of which it has to have.
    ///   - authority: what it has to be signed by; `nil`: nothing is said of that.
    ///   - before: from how long before its end, in seconds, it counts as ending.
    package init(
        certificate: String?, keys: String?, hosts: [String], authority: TunnelAuthority?, now: Date, before: TimeInterval
    ) {
        guard let certificate else { (expires, problem) = (nil, "there is none"); return }
        guard let leaf = ServerKeys.leaf(in: certificate) else { (expires, problem) = (nil, "its file holds no certificate in PEM"); return }
        expires = leaf.notValidAfter
        problem = Self.problem(leaf, keys, hosts, authority, now, before)
    }

    private static func problem(
        _ leaf: Certificate, _ keys: String?, _ hosts: [String], _ authority: TunnelAuthority?, _ now: Date, _ before: TimeInterval
    ) -> String? {
        if keys.flatMap({ ServerKeys.key(for: leaf.publicKey, in: $0) }) == nil { return "its key is not there" }
        if let authority {
            do throws(CertificateRuleError) {
                for host in hosts { try ServerCertificateRules.check(leaf: leaf, authorities: [authority], host: host, now: now) }
            } catch {
                return "\(error)"
            }
        } else {
            guard leaf.notValidBefore <= now else { return "\(CertificateRuleError.notYetValid)" }
        }
        guard now < leaf.notValidAfter else { return "\(CertificateRuleError.expired)" }
        guard now < leaf.notValidAfter - before else {
            let days = Self.days(until: leaf.notValidAfter, from: now)
            return "it ends in \(days) day\(days == 1 ? "" : "s")"
        }
        return nil
    }

    /// Whole days, none below zero.
    package func daysLeft(at now: Date) -> Int? { expires.map { Self.days(until: $0, from: now) } }

    package static func days(until end: Date, from now: Date) -> Int { max(0, Int((end.timeIntervalSince(now) / 86_400).rounded(.down))) }

    /// The names that a certificate has to have: of the routes, or of any where none are named yet.
    package static func hosts(routes: [String], domain: String) -> [String] {
        (routes.isEmpty ? ["any"] : routes.sorted()).map { "\($0).\(domain)" }
    }
}
