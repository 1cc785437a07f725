import Crypto
import Foundation
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

@Suite struct RuntimeCertificateTests {
    private let forge = Forge()
    private let identity = RuntimeIdentity(tunnelID: "tnl_1", workspaceID: "wrkspc_1", client: "curl", routes: ["docs"])

    private func verify(_ leaf: Certificate, _ authority: Certificate, at offset: TimeInterval = 0) throws(RuntimeCertificateError) -> RuntimeIdentity
    {
        try RuntimeCertificate.verify(leaf, authority: authority, now: forge.now + offset, tunnelID: "tnl_1", workspaceID: "wrkspc_1")
    }

    private func authority() throws -> RuntimeAuthority {
        try RuntimeAuthority.make(workspaceID: "wrkspc_1", notBefore: forge.now - 60, notAfter: forge.now + 86_400 * 365)
    }

    private func issue(_ identity: RuntimeIdentity, by authority: RuntimeAuthority) throws -> Certificate {
        try RuntimeCertificate.issue(
            identity, publicKey: P256.Signing.PrivateKey().publicKey, authority: authority.certificate, authorityKey: authority.key,
            notBefore: forge.now - 300, notAfter: forge.now + 3_600)
    }

    /// The extensions of a proper runtime certificate, for the tests that change one.
    private func proper(by signer: Forge.Signer) throws -> [ASN1ObjectIdentifier: Certificate.Extension] {
        let all = [
            try Certificate.Extension(BasicConstraints.notCertificateAuthority, critical: true),
            try .init(KeyUsage(digitalSignature: true), critical: true),
            try .init(ExtendedKeyUsage([.clientAuth]), critical: false),
            try .init(SubjectAlternativeNames(identity.uris.map { .uniformResourceIdentifier($0) }), critical: false),
            try Forge.authorityKey(signer.keyIdentifier),
        ]
        return Dictionary(uniqueKeysWithValues: all.map { ($0.oid, $0) })
    }

    @Test func whatIsIssuedIsAcceptedAndComesBack() throws {
        let authority = try authority()
        let leaf = try issue(identity, by: authority)
        #expect(try verify(leaf, authority.certificate) == identity)
        // Also after a way over the wire.
        let read = try Certificate(pemEncoded: try Forge.pem(leaf))
        #expect(try verify(read, Certificate(pemEncoded: authority.certificatePEM)) == identity)
        #expect(!"\(authority)".contains("key") && !String(reflecting: authority).contains("PrivateKey"))
    }

    @Test func anotherTunnelOrWorkspaceIsRefused() throws {
        let authority = try authority()
        let leaf = try issue(identity, by: authority)
        #expect(throws: RuntimeCertificateError.otherTunnel("tnl_1")) {
            try RuntimeCertificate.verify(leaf, authority: authority.certificate, now: forge.now, tunnelID: "tnl_2", workspaceID: "wrkspc_1")
        }
        #expect(throws: RuntimeCertificateError.otherWorkspace("wrkspc_1")) {
            try RuntimeCertificate.verify(leaf, authority: authority.certificate, now: forge.now, tunnelID: "tnl_1", workspaceID: "wrkspc_2")
        }
    }

    @Test func anotherAuthorityIsRefusedWhateverItCallsItself() throws {
        let authority = try authority()
        let same = try self.authority()
        #expect(throws: RuntimeCertificateError.otherAuthority) { try verify(try issue(identity, by: same), authority.certificate) }
        // The name and the key identifier of the real one, signed with another key.
        let forged = Forge.Signer(name: authority.certificate.subject, key: .init(same.key), certificate: same.certificate)
        var extensions = try proper(by: forged)
        let real = try Forge.authorityKey(SubjectKeyIdentifier(hash: authority.certificate.publicKey).keyIdentifier)
        extensions[real.oid] = real
        #expect(throws: RuntimeCertificateError.notSigned) {
            try verify(try forge.leaf(by: forged, extensions: Array(extensions.values)), authority.certificate)
        }
        // A certificate that the authority signed for a runtime signs nothing.
        #expect(throws: RuntimeCertificateError.notAnAuthority) {
            try verify(try issue(identity, by: authority), try issue(identity, by: authority))
        }
    }

    @Test func validityHolds() throws {
        let authority = try authority()
        let leaf = try issue(identity, by: authority)
        #expect(try verify(leaf, authority.certificate, at: -60) == identity)
        #expect(throws: RuntimeCertificateError.expired) { try verify(leaf, authority.certificate, at: 3_600) }
        #expect(throws: RuntimeCertificateError.authorityNotValid) { try verify(leaf, authority.certificate, at: -61) }
        #expect(throws: RuntimeCertificateError.authorityNotValid) { try verify(leaf, authority.certificate, at: 86_400 * 365) }
        let signer = try forge.authority()
        let later = try forge.leaf(by: signer, from: 1, extensions: Array(try proper(by: signer).values))
        #expect(throws: RuntimeCertificateError.notYetValid) { try verify(later, signer.certificate) }
        let long = try forge.leaf(by: signer, from: -300, until: 86_400 + 301, extensions: Array(try proper(by: signer).values))
        #expect(throws: RuntimeCertificateError.tooLongLived) { try verify(long, signer.certificate) }
        #expect(throws: RuntimeCertificateError.tooLongLived) {
            try RuntimeCertificate.issue(
                identity, publicKey: P256.Signing.PrivateKey().publicKey, authority: authority.certificate, authorityKey: authority.key,
                notBefore: forge.now, notAfter: forge.now + 86_400 + 601)
        }
    }

    @Test func eachUseButThatOfAClientIsRefused() throws {
        let signer = try forge.authority()
        func refusal(of changed: Certificate.Extension...) -> RuntimeCertificateError? {
            do {
                var extensions = try proper(by: signer)
                for item in changed { extensions[item.oid] = item }
                _ = try verify(try forge.leaf(by: signer, extensions: Array(extensions.values)), signer.certificate)
                return nil
            } catch let error as RuntimeCertificateError { return error } catch {
                Issue.record(error)
                return nil
            }
        }
        #expect(refusal() == nil)
        #expect(refusal(of: Forge.unknown(critical: false)) == nil)
        #expect(refusal(of: Forge.unknown(critical: true)) == .unknownCriticalExtension("1.3.6.1.4.1.99999.1"))
        #expect(refusal(of: try .init(ExtendedKeyUsage([.serverAuth]), critical: false)) == .wrongUse)
        #expect(refusal(of: try .init(ExtendedKeyUsage([.clientAuth, .serverAuth]), critical: false)) == .wrongUse)
        #expect(refusal(of: try .init(ExtendedKeyUsage([.any]), critical: false)) == .wrongUse)
        #expect(refusal(of: try .init(KeyUsage(digitalSignature: true, keyCertSign: true), critical: true)) == .wrongUse)
        #expect(refusal(of: try .init(KeyUsage(keyEncipherment: true), critical: true)) == .wrongUse)
        #expect(refusal(of: try .init(BasicConstraints.isCertificateAuthority(maxPathLength: nil), critical: true)) == .isAuthority)
        #expect(refusal(of: try .init(SubjectAlternativeNames([.dnsName("docs.example.com")]), critical: false)) != nil)
        #expect(refusal(of: try Forge.authorityKey([1, 2, 3])) == .otherAuthority)
        for missing in [ASN1ObjectIdentifier.X509ExtensionID.extendedKeyUsage, .X509ExtensionID.keyUsage] {
            var extensions = try proper(by: signer)
            extensions[missing] = nil
            #expect(throws: RuntimeCertificateError.wrongUse) {
                try verify(try forge.leaf(by: signer, extensions: Array(extensions.values)), signer.certificate)
            }
        }
        var nameless = try proper(by: signer)
        nameless[.X509ExtensionID.subjectAlternativeName] = nil
        #expect(throws: RuntimeCertificateError.identity(.missing("tunnel"))) {
            try verify(try forge.leaf(by: signer, extensions: Array(nameless.values)), signer.certificate)
        }
        #expect(throws: RuntimeCertificateError.weakKey) {
            let key = Certificate.PublicKey(P384.Signing.PrivateKey().publicKey)
            _ = try verify(try forge.leaf(by: signer, key: key, extensions: Array(try proper(by: signer).values)), signer.certificate)
        }
    }

    /// Whatever bit is turned over of what is signed, nothing is believed any more.
    @Test func noMangledCertificateIsAccepted() throws {
        let authority = try authority()
        let good = try issue(identity, by: authority)
        for leaf in try Forge.mangled(good) {
            // Beside what is signed one bit says nothing: how many bits of the signature's last byte do not count.
            guard (try? verify(leaf, authority.certificate)) != nil else { continue }
            #expect(leaf.tbsCertificateBytes == good.tbsCertificateBytes)
        }
    }

    @Test func aFreshRequestIsOneThatIsTaken() throws {
        let request = try RuntimeRequest()
        let key = try P256.Signing.PrivateKey(pemRepresentation: request.keyPEM)
        #expect(try RuntimeCertificate.publicKey(ofRequest: request.pem).rawRepresentation == key.publicKey.rawRepresentation)
        #expect(!"\(request)".contains("PRIVATE") && !String(reflecting: request).contains("PRIVATE"))
        #expect(try RuntimeRequest().keyPEM != request.keyPEM)
    }

    @Test func aRequestGivesItsKeyAndNothingElse() throws {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName("admin") }
        func pem(_ key: Certificate.PrivateKey, _ algorithm: Certificate.SignatureAlgorithm) throws -> String {
            try CertificateSigningRequest(
                version: .v1, subject: subject, privateKey: key, attributes: .init(), signatureAlgorithm: algorithm
            ).serializeAsPEM().pemString
        }
        let request = try pem(.init(key), .ecdsaWithSHA256)
        #expect(try RuntimeCertificate.publicKey(ofRequest: request).rawRepresentation == key.publicKey.rawRepresentation)
        #expect(throws: RuntimeCertificateError.weakKey) {
            try RuntimeCertificate.publicKey(ofRequest: try pem(.init(P384.Signing.PrivateKey()), .ecdsaWithSHA384))
        }
        // Another key put in place of the one that signed.
        let own = Array(key.publicKey.x963Representation)
        let other = Array(P256.Signing.PrivateKey().publicKey.x963Representation)
        var der = try PEMDocument(pemString: request).derBytes
        let place = try #require(der.firstRange(of: own))
        der.replaceSubrange(place, with: other)
        #expect(throws: RuntimeCertificateError.requestNotSigned) {
            try RuntimeCertificate.publicKey(ofRequest: PEMDocument(type: "CERTIFICATE REQUEST", derBytes: der).pemString)
        }
        for text in ["", "nonsense", key.pemRepresentation, request + String(repeating: "\n", count: 8192)] {
            #expect(throws: RuntimeCertificateError.unreadableRequest) { try RuntimeCertificate.publicKey(ofRequest: text) }
        }
    }
}
