import Crypto
import Foundation
import PosternConnector
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

@Suite("The server certificate of a connector: renewal, and one from the customer's own PKI")
struct ServerCertificateTests {
    private static let domain = "ab12cd34.tunnel.example.com"
    private static let host = "docs.\(domain)"
    private static let now = Date(timeIntervalSince1970: 1_800_000_000)

    @Test("is due a month before it ends, and when it is for another authority, another name or another key")
    func standing() throws {
        let made = try ConnectorCertificates.authority(domain: Self.domain, now: Self.now)
        let server = try ConnectorCertificates.server(domain: Self.domain, authority: made, now: Self.now)
        func problem(
            _ days: Double, certificate: String? = server.certificatePEM, keys: String? = server.keyPEM, host: String = Self.host,
            by authority: String? = made.certificatePEM
        ) throws -> String? {
            let known = try authority.map { try AuthorityRules.check(pem: $0, now: Self.now) }
            return ServerStanding(
                certificate: certificate, keys: keys, hosts: [host], authority: known, now: Self.now.addingTimeInterval(days * 86_400),
                before: ConnectorCertificates.renewBefore
            ).problem
        }
        #expect(try problem(0) == nil && problem(59.9) == nil)
        #expect(try problem(60.5) == "it ends in 29 days" && problem(88.5) == "it ends in 1 day")
        #expect(try problem(91)?.contains("has expired") == true && problem(-1)?.contains("not valid") == true)
        #expect(try problem(0, host: "docs.zz.tunnel.example.com")?.contains("does not name") == true)
        #expect(try problem(0, host: "a.b.\(Self.domain)")?.contains("does not name") == true)
        let other = try ConnectorCertificates.authority(domain: Self.domain, now: Self.now)
        #expect(try problem(0, by: other.certificatePEM)?.contains("authority") == true)
        #expect(try problem(0, keys: other.keyPEM) == "its key is not there" && problem(0, keys: nil) == "its key is not there")
        #expect(try problem(0, certificate: nil) == "there is none" && problem(0, certificate: "x")?.contains("no certificate") == true)
        // Without an authority, time and key are looked at all the same.
        #expect(try problem(0, by: nil) == nil && problem(61, by: nil) != nil && problem(91, by: nil) != nil && problem(-1, by: nil) != nil)
        let standing = ServerStanding(
            certificate: server.certificatePEM, keys: server.keyPEM, hosts: [], authority: nil, now: Self.now, before: 0)
        #expect(standing.daysLeft(at: Self.now) == 90 && standing.daysLeft(at: Self.now.addingTimeInterval(100 * 86_400)) == 0)
    }

    @Test("a pair that is replaced is one at every moment, for whoever reads the certificate first, and after a crash at any")
    func replacing() throws {
        let made = try ConnectorCertificates.authority(domain: Self.domain, now: Self.now)
        let pairs = try (0..<4).map { _ in try ConnectorCertificates.server(domain: Self.domain, authority: made, now: Self.now) }
        var certificate = pairs[0].certificatePEM
        var keys = pairs[0].keyPEM
        /// Each state of both files that was there, in its order.
        var states = [(certificate, keys)]
        for (index, pair) in pairs.enumerated().dropFirst() {
            keys = ServerKeys.adding(pair.keyPEM, to: keys, inUseBy: certificate)
            states.append((certificate, keys))
            // A renewal that was broken off here is begun again by the next.
            if index == 2 { continue }
            certificate = pair.certificatePEM
            states.append((certificate, keys))
        }
        for (index, (certificate, _)) in states.enumerated() {
            let leaf = try #require(ServerKeys.leaf(in: certificate))
            // Whoever was slow reads the keys as they stand one change later.
            for (_, keys) in states[index...].prefix(2) { #expect(ServerKeys.key(for: leaf.publicKey, in: keys) != nil, "state \(index)") }
        }
        // Not more than both are kept, and the old one goes when it is asked for.
        #expect(keys.components(separatedBy: "BEGIN").count == 3)
        let pruned = try #require(ServerKeys.pruned(keys, to: certificate))
        #expect(pruned.components(separatedBy: "BEGIN").count == 2 && ServerKeys.pruned(pruned, to: certificate) == nil)
        let leaf = try #require(ServerKeys.leaf(in: certificate))
        #expect(ServerKeys.key(for: leaf.publicKey, in: pruned) != nil)
        #expect(ServerKeys.pruned(keys, to: made.certificatePEM) == nil, "no key fits: none is taken away")
        #expect(ServerKeys.adding(pruned, to: pruned, inUseBy: certificate) == pruned)
    }

    @Test("a request asks for every route, for servers, with a key that is kept when it is asked for again")
    func request() throws {
        let request = try ServerSigningRequest(domain: Self.domain)
        let read = try CertificateSigningRequest(pemEncoded: request.pem)
        let extensions = try #require(try read.attributes.extensionRequest?.extensions)
        let names = try #require(try extensions.subjectAlternativeNames)
        #expect(Array(names) == [.dnsName("*.\(Self.domain)")])
        #expect(try extensions.extendedKeyUsage?.contains(.serverAuth) == true)
        #expect(read.publicKey.isValidSignature(read.signature, for: read))
        let again = try ServerSigningRequest(domain: Self.domain, keyPEM: request.keyPEM)
        #expect(try CertificateSigningRequest(pemEncoded: again.pem).publicKey == read.publicKey)
        #expect(!"\(request)\(String(reflecting: request))".contains("PRIVATE"))
        #expect(throws: ConnectorError.self) { try ServerSigningRequest(domain: Self.domain, keyPEM: "CANARY") }
    }

    // MARK: From the customer's PKI

    /// What a PKI makes of a request, each part of which a test spoils.
    private struct Spoilt {
        var names: [GeneralName] = [.dnsName("*.\(ServerCertificateTests.domain)")]
        var purposes: [ExtendedKeyUsage.Usage]? = [.serverAuth]
        var identifier: [UInt8]?
        var hasIdentifier = true
        var from: TimeInterval = -60
        var until: TimeInterval = 30 * 86_400
        var extra: Certificate.Extension?
        var isAuthority = true
        var hasSubjectKey = true
        var basicIsCritical = true
        var signs = true
        var authorityUntil: TimeInterval = 365 * 86_400
        /// Signed by an authority in between.
        var isIndirect = false
    }

    private struct PKI {
        let key = P256.Signing.PrivateKey()
        let certificate: Certificate
        let between: (Certificate, P256.Signing.PrivateKey)?

        init(_ spoilt: Spoilt) throws {
            let name = try DistinguishedName { CommonName("Corporate CA") }
            let publicKey = Certificate.PublicKey(key.publicKey)
            certificate = try Self.authority(name, publicKey, name, key, spoilt)
            guard spoilt.isIndirect else { between = nil; return }
            let second = P256.Signing.PrivateKey()
            let issuing = try DistinguishedName { CommonName("Issuing CA") }
            between = (try Self.authority(issuing, .init(second.publicKey), name, key, Spoilt()), second)
        }

        private static func authority(
            _ subject: DistinguishedName, _ publicKey: Certificate.PublicKey, _ issuer: DistinguishedName, _ signer: P256.Signing.PrivateKey,
            _ spoilt: Spoilt
        ) throws -> Certificate {
            try Certificate(
                version: .v3, serialNumber: .init(), publicKey: publicKey, notValidBefore: now - 3600, notValidAfter: now + spoilt.authorityUntil,
                issuer: issuer, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    let basic: BasicConstraints = spoilt.isAuthority ? .isCertificateAuthority(maxPathLength: nil) : .notCertificateAuthority
                    if spoilt.basicIsCritical { Critical(basic) } else { basic }
                    Critical(KeyUsage(digitalSignature: !spoilt.signs, keyCertSign: spoilt.signs))
                    if spoilt.hasSubjectKey { SubjectKeyIdentifier(hash: publicKey) }
                }, issuerPrivateKey: .init(signer))
        }

        var pem: String { get throws { try certificate.serializeAsPEM().pemString } }

        func sign(_ publicKey: Certificate.PublicKey, _ spoilt: Spoilt) throws -> String {
            let (issuer, signer) = between ?? (certificate, key)
            let identifier = try spoilt.identifier ?? issuer.extensions.subjectKeyIdentifier.map { Array($0.keyIdentifier) } ?? []
            return try Certificate(
                version: .v3, serialNumber: .init(), publicKey: publicKey, notValidBefore: now + spoilt.from, notValidAfter: now + spoilt.until,
                issuer: issuer.subject, subject: try DistinguishedName { CommonName("tunnel") }, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    if !spoilt.names.isEmpty { SubjectAlternativeNames(spoilt.names) }
                    if let purposes = spoilt.purposes { try ExtendedKeyUsage(purposes) }
                    if spoilt.hasIdentifier { AuthorityKeyIdentifier(keyIdentifier: ArraySlice(identifier)) }
                    if let extra = spoilt.extra { extra }
                }, issuerPrivateKey: .init(signer)
            ).serializeAsPEM().pemString
        }
    }

    private func problem(_ change: (inout Spoilt) -> Void, hosts: [String] = [host]) throws -> String? {
        var spoilt = Spoilt()
        change(&spoilt)
        let pki = try PKI(spoilt)
        let request = try ServerSigningRequest(domain: Self.domain)
        let key = try CertificateSigningRequest(pemEncoded: request.pem).publicKey
        do {
            let given = try GivenServer(
                certificate: pki.sign(key, spoilt), authority: pki.pem, keys: ["", request.keyPEM], hosts: hosts, now: Self.now)
            #expect(ServerKeys.key(for: key, in: given.keyPEM) != nil)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("a certificate of a PKI that keeps the rules is taken; each rule that it breaks has its own refusal")
    func rules() throws {
        #expect(try problem { _ in } == nil)
        #expect(try problem { $0.purposes = nil } == nil)
        #expect(try problem { $0.names = [.dnsName(Self.host), .dnsName("other.example.com")] } == nil)
        let broken: [(String, (inout Spoilt) -> Void)] = [
            ("does not name \(Self.host)", { $0.names = [.dnsName("*.tunnel.example.com")] }),
            ("no DNS names", { $0.names = [] }), ("lacks serverAuth", { $0.purposes = [.clientAuth] }),
            ("no authority key identifier", { $0.hasIdentifier = false }), ("is not the key of an authority", { $0.identifier = [1, 2, 3] }),
            ("has expired", { $0.until = -1 }), ("not valid yet", { $0.from = 3600 }),
            ("critical extension", { $0.extra = .init(oid: [1, 2, 3, 4], critical: true, value: [5, 0]) }),
            ("is not the key of an authority", { $0.isIndirect = true }),
        ]
        for (rule, change) in broken {
            let told = try problem(change)
            #expect(told?.hasPrefix("--server-certificate: ") == true && told?.contains(rule) == true, "\(rule): \(told ?? "taken")")
        }
        let authorities: [(String, (inout Spoilt) -> Void)] = [
            ("CA:FALSE", { $0.isAuthority = false }), ("no subject key identifier", { $0.hasSubjectKey = false }),
            ("not critical", { $0.basicIsCritical = false }), ("keyCertSign", { $0.signs = false }), ("has expired", { $0.authorityUntil = -1 }),
        ]
        for (rule, change) in authorities {
            let told = try problem(change)
            #expect(told?.hasPrefix("--server-ca: ") == true && told?.contains(rule) == true, "\(rule): \(told ?? "taken")")
        }
        // A wildcard stands for one label, and every route has to be named.
        #expect(try problem({ $0.names = [.dnsName(Self.host)] }, hosts: [Self.host, "open.\(Self.domain)"])?.contains("open.") == true)
    }

    @Test("files that hold something else are refused, and the key has to be the request's")
    func files() throws {
        let pki = try PKI(Spoilt())
        let request = try ServerSigningRequest(domain: Self.domain)
        let key = try CertificateSigningRequest(pemEncoded: request.pem).publicKey
        let good = try pki.sign(key, Spoilt())
        func problem(certificate: String = good, authority: String? = nil, keys: [String] = [request.keyPEM]) throws -> String? {
            do {
                _ = try GivenServer(
                    certificate: certificate, authority: authority ?? pki.pem, keys: keys, hosts: [Self.host], now: Self.now)
                return nil
            } catch {
                return "\(error)"
            }
        }
        #expect(try problem() == nil)
        for (certificate, rule) in [
            (good + "\n" + good, "holds 2 certificates"), ("", "and nothing else"), ("hello", "and nothing else"),
            (good + "\nhello", "and nothing else"),
            (request.pem, "and nothing else"), (good + "\n" + request.keyPEM, "PRIVATE KEY"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no readable"),
            (String(repeating: "x", count: 9000), "more than 8192"),
        ] {
            let told = try problem(certificate: certificate)
            #expect(told?.contains(rule) == true && told?.hasPrefix("--server-certificate") == true, "\(rule): \(told ?? "taken")")
        }
        #expect(try problem(authority: pki.pem + "\n" + pki.pem)?.contains("--server-ca: holds 2 certificates") == true)
        #expect(try problem(authority: "")?.contains("--server-ca: holds no certificate") == true)
        #expect(try problem(keys: [try ServerSigningRequest(domain: Self.domain).keyPEM, ""])?.contains("not for the key of the request") == true)
        // Another CA with the same name and key identifier has not signed it.
        let twin = try PKI(Spoilt())
        let foreign = try twin.sign(
            key,
            {
                var s = Spoilt(); s.identifier = try pki.certificate.extensions.subjectKeyIdentifier.map { Array($0.keyIdentifier) }; return s
            }())
        #expect(try problem(certificate: foreign)?.contains("not signed directly") == true)
    }
}
