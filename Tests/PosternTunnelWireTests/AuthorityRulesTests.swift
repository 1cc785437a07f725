import Crypto
import Foundation
import SwiftASN1
import Testing
import X509

@testable import PosternTunnelWire

/// Each rule against a real certificate that breaks it and no other.
@Suite struct AuthorityRulesTests {
    private let forge = Forge()

    private func refusal(_ pem: String) -> CertificateRuleError? {
        do {
            _ = try AuthorityRules.check(pem: pem, now: forge.now)
            return nil
        } catch { return error }
    }

    private func refusal(replacing changed: [Certificate.Extension], without oid: ASN1ObjectIdentifier? = nil) throws -> CertificateRuleError? {
        let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        var extensions = try forge.authorityExtensions(key.publicKey).filter { item in item.oid != oid && !changed.contains { $0.oid == item.oid } }
        extensions += changed
        return refusal(try Forge.pem(try forge.authority(key: key, extensions: extensions).certificate))
    }

    @Test func aProperAuthorityIsTaken() throws {
        let signer = try forge.authority()
        let pem = try Forge.pem(signer.certificate)
        let taken = try AuthorityRules.check(pem: pem, now: forge.now)
        let der = try PEMDocument(pemString: pem).derBytes
        #expect(taken.fingerprint == SHA256.hash(data: der).map { String(format: "%02x", $0) }.joined())
        #expect(taken.expiresAt == forge.now + 86_400 && taken.keyIdentifier == Array(signer.keyIdentifier))
        // Space around it, and the line ends of other systems.
        #expect(refusal("\n  \n" + pem + "\n\n") == nil)
        #expect(refusal(pem.replacing("\n", with: "\r\n")) == nil)
        for key in [Certificate.PrivateKey(P384.Signing.PrivateKey()), .init(P521.Signing.PrivateKey())] {
            #expect(refusal(try Forge.pem(try forge.authority(key: key).certificate)) == nil)
        }
        #expect(refusal(WeakAuthorities.rsa2048) == nil)
    }

    @Test func theFileHoldsOneCertificateAndNothingElse() throws {
        let pem = try Forge.pem(try forge.authority().certificate)
        let key = P256.Signing.PrivateKey().pemRepresentation
        #expect(refusal("") == .count(0))
        #expect(refusal("nonsense") == .count(0))
        #expect(refusal(pem + "\n" + pem) == .count(2))
        #expect(refusal(pem + "\n" + key) == .keyMaterial("PRIVATE KEY"))
        #expect(refusal(key + "\n" + pem) == .keyMaterial("PRIVATE KEY"))
        #expect(refusal(pem + "\n" + key.replacing("PRIVATE KEY", with: "EC PRIVATE KEY")) == .keyMaterial("EC PRIVATE KEY"))
        #expect(refusal(pem + "\n" + key.replacing("PRIVATE KEY", with: "ENCRYPTED PRIVATE KEY")) == .keyMaterial("ENCRYPTED PRIVATE KEY"))
        #expect(refusal(pem.replacing("CERTIFICATE", with: "CERTIFICATE REQUEST")) == .notACertificate("CERTIFICATE REQUEST"))
        // A key without its frame.
        let bare = key.split(separator: "\n").dropFirst().dropLast().joined(separator: "\n")
        #expect(refusal(pem + "\n" + bare) == .textOutside)
        #expect(refusal("Certificate:\n" + pem) == .textOutside)
        #expect(refusal(pem.replacing("MII", with: "MIJ")) == .unreadable)
        #expect(refusal(String(pem.dropLast(30))) == .unreadable)
        #expect(refusal(pem + String(repeating: "\n", count: AuthorityRules.maximumSize + 1 - pem.utf8.count)) == .tooLarge)
        #expect(refusal(pem + String(repeating: "\n", count: AuthorityRules.maximumSize - pem.utf8.count)) == nil)
        // Bytes after the certificate's end.
        let der = try PEMDocument(pemString: pem).derBytes
        #expect(refusal(PEMDocument(type: "CERTIFICATE", derBytes: der + [0]).pemString) == .unreadable)
    }

    @Test func floorsOfKeyAndSignatureHold() throws {
        #expect(refusal(WeakAuthorities.rsa1024) == .weakKey("RSA with 1024 bits"))
        #expect(refusal(WeakAuthorities.secp224r1) == .weakKey("on the curve 1.3.132.0.33"))
        #expect(refusal(WeakAuthorities.secp256k1) == .weakKey("on the curve 1.3.132.0.10"))
        #expect(refusal(WeakAuthorities.version1) == .notVersion3)
        guard case .weakSignature = refusal(WeakAuthorities.sha1) else { return #expect(Bool(false), "SHA-1 is taken") }
        let edwards = try forge.authority(key: .init(Curve25519.Signing.PrivateKey()), algorithm: .ed25519)
        guard case .weakSignature = refusal(try Forge.pem(edwards.certificate)) else { return #expect(Bool(false), "Ed25519 is taken") }
    }

    @Test func extensionsOfAnAuthorityMustBeThere() throws {
        let basic = ASN1ObjectIdentifier.X509ExtensionID.basicConstraints
        #expect(try refusal(replacing: []) == nil)
        #expect(try refusal(replacing: [], without: basic) == .noBasicConstraints)
        #expect(
            try refusal(replacing: [.init(BasicConstraints.isCertificateAuthority(maxPathLength: nil), critical: false)])
                == .basicConstraintsNotCritical)
        #expect(try refusal(replacing: [.init(BasicConstraints.notCertificateAuthority, critical: true)]) == .notAnAuthority)
        #expect(try refusal(replacing: [.init(oid: basic, critical: true, value: [4, 0])]) == .unreadableExtension("basic constraints"))
        #expect(try refusal(replacing: [], without: .X509ExtensionID.subjectKeyIdentifier) == .noSubjectKeyIdentifier)
        #expect(try refusal(replacing: [], without: .X509ExtensionID.keyUsage) == .noCertificateSigning)
        #expect(try refusal(replacing: [.init(KeyUsage(digitalSignature: true, cRLSign: true), critical: true)]) == .noCertificateSigning)
        #expect(try refusal(replacing: [Forge.unknown(critical: false)]) == nil)
        #expect(try refusal(replacing: [Forge.unknown(critical: true)]) == .unknownCriticalExtension("1.3.6.1.4.1.99999.1"))
    }

    @Test func validityHolds() throws {
        #expect(refusal(try Forge.pem(try forge.authority(from: 1).certificate)) == .notYetValid)
        #expect(refusal(try Forge.pem(try forge.authority(until: -1).certificate)) == .expired)
        #expect(refusal(try Forge.pem(try forge.authority(until: 0).certificate)) == .expired)
        #expect(refusal(try Forge.pem(try forge.authority(from: 0, until: 1).certificate)) == nil)
    }

    /// No mangled certificate is taken for another, and none stops the process.
    @Test func mangledCertificatesAreRefused() throws {
        let pem = try Forge.pem(try forge.authority().certificate)
        let good = try AuthorityRules.check(pem: pem, now: forge.now)
        let der = try PEMDocument(pemString: pem).derBytes
        for place in der.indices {
            for change in [UInt8(1), 0x80] {
                var mangled = der
                mangled[place] ^= change
                guard let taken = try? AuthorityRules.check(pem: PEMDocument(type: "CERTIFICATE", derBytes: mangled).pemString, now: forge.now)
                else { continue }
                // A name, a time or the unchecked self-signature may differ: then it is another certificate.
                #expect(taken.fingerprint != good.fingerprint)
            }
            _ = try? AuthorityRules.check(pem: PEMDocument(type: "CERTIFICATE", derBytes: Array(der[..<place])).pemString, now: forge.now)
        }
    }
}
