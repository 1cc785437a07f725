import Crypto
import Foundation
import SwiftASN1
import Testing
import X509

@testable import PosternTunnelWire

@Suite struct ServerCertificateRulesTests {
    private let forge = Forge()
    private let host = "docs.ab12cd34.tunnel.example.com"

    private func trusted(_ signer: Forge.Signer) throws -> TunnelAuthority {
        try AuthorityRules.check(pem: try Forge.pem(signer.certificate), now: forge.now)
    }

    private func extensions(_ signer: Forge.Signer, names: [String]) throws -> [Certificate.Extension] {
        [
            try .init(SubjectAlternativeNames(names.map { .dnsName($0) }), critical: false), try Forge.authorityKey(signer.keyIdentifier),
            try .init(ExtendedKeyUsage([.serverAuth]), critical: false),
        ]
    }

    private func refusal(_ leaf: Certificate, _ signers: [Forge.Signer], at offset: TimeInterval = 0) throws -> CertificateRuleError? {
        let authorities = try signers.map { try trusted($0) }
        do {
            try ServerCertificateRules.check(leaf: leaf, authorities: authorities, host: host, now: forge.now + offset)
            return nil
        } catch { return error }
    }

    private func leaf(_ signer: Forge.Signer, names: [String] = ["*.ab12cd34.tunnel.example.com"], _ changed: Certificate.Extension...) throws
        -> Certificate
    {
        let kept = try extensions(signer, names: names).filter { item in !changed.contains { $0.oid == item.oid } }
        return try forge.leaf(by: signer, extensions: kept + changed)
    }

    @Test func aProperCertificateNamesItsAuthority() throws {
        let (one, two) = (try forge.authority("one"), try forge.authority("two"))
        let authorities = [try trusted(one), try trusted(two)]
        let found = try ServerCertificateRules.check(leaf: try leaf(two), authorities: authorities, host: host, now: forge.now)
        #expect(found == authorities[1])
        #expect(try refusal(try leaf(one, names: [host]), [one, two]) == nil)
        // Without a purpose every purpose is meant; beside another one serverAuth still counts.
        let bare = try extensions(one, names: [host]).filter { $0.oid != .X509ExtensionID.extendedKeyUsage }
        #expect(try refusal(try forge.leaf(by: one, extensions: bare), [one]) == nil)
        #expect(try refusal(try leaf(one, names: [host], .init(ExtendedKeyUsage([.clientAuth, .serverAuth]), critical: true)), [one]) == nil)
        for key in [Certificate.PublicKey(P384.Signing.PrivateKey().publicKey), .init(P521.Signing.PrivateKey().publicKey)] {
            #expect(try refusal(try forge.leaf(by: one, key: key, extensions: try extensions(one, names: [host])), [one]) == nil)
        }
    }

    @Test func onlyARegisteredAuthorityThatSignedItselfCounts() throws {
        let (one, two) = (try forge.authority("one"), try forge.authority("two"))
        #expect(try refusal(try leaf(two), [one]) == .unknownAuthority)
        #expect(try refusal(try leaf(one), []) == .unknownAuthority)
        // The registered one's key identifier and name over another's signature.
        let forged = Forge.Signer(name: one.name, key: two.key, certificate: one.certificate)
        let claims = try extensions(one, names: [host])
        #expect(try refusal(try forge.leaf(by: forged, extensions: claims), [one]) == .notSignedByAuthority)
        // The right signature over another issuer's name.
        #expect(try refusal(try forge.leaf(by: one, issuer: two.name, extensions: claims), [one]) == .notSignedByAuthority)
        #expect(try refusal(try leaf(one, Forge.authorityKey([1, 2, 3])), [one]) == .unknownAuthority)
        let anonymous = claims.filter { $0.oid != .X509ExtensionID.authorityKeyIdentifier }
        #expect(try refusal(try forge.leaf(by: one, extensions: anonymous), [one]) == .noAuthorityKeyIdentifier)
        #expect(
            try refusal(try leaf(one, .init(oid: .X509ExtensionID.authorityKeyIdentifier, critical: false, value: [4, 0])), [one])
                == .unreadableExtension("authority key identifier"))
        // Below an intermediate authority that the registered one has signed.
        let own = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let middle = Forge.Signer(
            name: try DistinguishedName { CommonName("a leaf") }, key: own,
            certificate: try forge.leaf(by: one, key: own.publicKey, extensions: try forge.authorityExtensions(own.publicKey)))
        #expect(try refusal(try leaf(middle), [one]) == .unknownAuthority)
        // Two authorities whose makers chose the same key identifier.
        let twinKey = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let twin = try forge.authority(
            "one", key: twinKey,
            extensions: try forge.authorityExtensions(twinKey.publicKey).filter { $0.oid != .X509ExtensionID.subjectKeyIdentifier } + [
                .init(SubjectKeyIdentifier(keyIdentifier: one.keyIdentifier), critical: false)
            ])
        #expect(try refusal(try leaf(one), [twin, one]) == nil)
        #expect(try refusal(try leaf(one), [twin]) == .notSignedByAuthority)
    }

    @Test func noMangledCertificateIsAccepted() throws {
        let signer = try forge.authority()
        let good = try leaf(signer)
        for leaf in try Forge.mangled(good) where try refusal(leaf, [signer]) == nil {
            #expect(leaf.tbsCertificateBytes == good.tbsCertificateBytes)
        }
    }

    @Test func validityHolds() throws {
        let signer = try forge.authority(until: 7_200)
        let names = try extensions(signer, names: [host])
        #expect(try refusal(try forge.leaf(by: signer, from: 1, extensions: names), [signer]) == .notYetValid)
        #expect(try refusal(try forge.leaf(by: signer, until: 0, extensions: names), [signer]) == .expired)
        let long = try forge.leaf(by: signer, until: 86_400, extensions: names)
        #expect(try refusal(long, [signer], at: 7_199) == nil)
        #expect(try refusal(long, [signer], at: 7_200) == .authorityNotValid)
    }

    @Test func theCertificateMustBeAServersAndNameTheHost() throws {
        let signer = try forge.authority()
        #expect(try refusal(try leaf(signer, .init(ExtendedKeyUsage([.clientAuth]), critical: false)), [signer]) == .notForServers)
        #expect(try refusal(try leaf(signer, .init(ExtendedKeyUsage([.any]), critical: false)), [signer]) == .notForServers)
        let nameless = try extensions(signer, names: []).filter { $0.oid != .X509ExtensionID.subjectAlternativeName }
        #expect(try refusal(try forge.leaf(by: signer, extensions: nameless), [signer]) == .noNames)
        #expect(
            try refusal(try leaf(signer, .init(SubjectAlternativeNames([.uniformResourceIdentifier("https://\(host)")]), critical: false)), [signer])
                == .noNames)
        #expect(try refusal(try leaf(signer, names: ["other.ab12cd34.tunnel.example.com"]), [signer]) == .otherName(host))
        #expect(try refusal(try leaf(signer, Forge.unknown(critical: true)), [signer]) == .unknownCriticalExtension("1.3.6.1.4.1.99999.1"))
        let edwards = Certificate.PublicKey(Curve25519.Signing.PrivateKey().publicKey)
        #expect(
            try refusal(try forge.leaf(by: signer, key: edwards, extensions: try extensions(signer, names: [host])), [signer]) == .weakKey("Ed25519"))
    }

    @Test(arguments: [
        ("docs.t.example.com", "docs.t.example.com", true), ("DOCS.t.example.com", "docs.T.example.com", true),
        ("docs.t.example.com", "*.t.example.com", true), ("a.docs.t.example.com", "*.t.example.com", false),
        ("t.example.com", "*.t.example.com", false), ("docs.t.example.com", "*.example.com", false), ("docs.t.example.com", "*", false),
        ("example.com", "*.com", false), ("docs.t.example.com", "d*.t.example.com", false), ("docs.t.example.com", "*s.t.example.com", false),
        ("docs.t.example.com", "docs.*.example.com", false), ("docs.t.example.com", "*.*.example.com", false),
        ("docs.t.example.com", "docs.t.example.com.", false), ("docs.t.example.com.", "docs.t.example.com", false),
        (".t.example.com", "*.t.example.com", false), ("docs.t.example.com", "docs.t.example.com\0.evil", false),
        ("docs.t.example.com", "", false), ("", "", false), ("*.t.example.com", "*.t.example.com", false),
    ])
    func names(_ host: String, _ pattern: String, _ fits: Bool) {
        #expect(ServerCertificateRules.matches(host, pattern: pattern) == fits)
    }
}
