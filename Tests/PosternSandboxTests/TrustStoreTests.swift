import Foundation
import PosternSandboxWire
import SeededRandom
import Testing

/// Certificates of a bundle, and the store that Java reads. That Java does read it is shown under a worker (`Tests/Perimeter/test_programs.py`).
@Suite struct TrustStoreTests {
    private static func pem(_ bytes: [UInt8], ending: String = "\n") -> String {
        let text = Data(bytes).base64EncodedString()
        var lines = ["-----BEGIN CERTIFICATE-----"]
        var rest = Substring(text)
        while !rest.isEmpty {
            lines.append(String(rest.prefix(64)))
            rest = rest.dropFirst(64)
        }
        return (lines + ["-----END CERTIFICATE-----", ""]).joined(separator: ending)
    }

    @Test func everyCertificateOfABundleIsRead() {
        var random = SeededGenerator(seed: 7)
        for ending in ["\n", "\r\n"] {
            let certificates = (1...100).map { length in (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) } }
            let text = certificates.map { "# a remark\n\(Self.pem($0, ending: ending))" }.joined(separator: "\n")
            #expect(CertificateText.certificates(in: Array(text.utf8)) == certificates)
        }
    }

    @Test func whatIsNoCertificateIsLeftOut() {
        let good: [UInt8] = [1, 2, 3, 4, 5]
        for bad in [
            "-----BEGIN CERTIFICATE-----\nAAAA\n", "-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAA=A\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAA===\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----END CERTIFICATE-----\n", "\u{0}\u{FF}\n",
        ] { #expect(CertificateText.certificates(in: Array((bad + Self.pem(good)).utf8)) == [good], "\(bad)") }
    }

    @Test func lengthsOfTheStoreAreThoseOfDER() {
        for (count, head) in [(5, [0x04, 5]), (200, [0x04, 0x81, 200]), (300, [0x04, 0x82, 1, 44]), (70_000, [0x04, 0x83, 1, 0x11, 0x70])]
            as [(Int, [UInt8])]
        {
            let certificate = [UInt8](repeating: 0xEE, count: count)
            let store = JavaTrustStore.bytes([certificate])
            let first = store.firstIndex(of: 0xEE) ?? 0
            #expect(Array(store[(first - head.count)..<first]) == head && store.filter { $0 == 0xEE }.count == count)
        }
        #expect(JavaTrustStore.bytes([]).count == 43)
    }
}
