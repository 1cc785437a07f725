/// A trust store as Java reads it, which knows no PEM bundles: PKCS #12 (RFC 7292) without encryption and without a code of integrity, as the
/// JDK's own `cacerts` of public certificates is. Every JDK since 8 takes it, with any password and with none.
package enum JavaTrustStore {
    private static let data: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01]
    private static let certificateBag: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x0C, 0x0A, 0x01, 0x03]
    private static let x509Certificate: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x16, 0x01]
    private static let friendlyName: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x14]
    /// Oracle's attribute: without it a certificate is one of a chain, and trusted by nobody.
    private static let trustedKeyUsage: [UInt8] = [0x60, 0x86, 0x48, 0x01, 0x86, 0xF9, 0x66, 0xAD, 0xCA, 0x7B, 0x01, 0x01]
    private static let anyExtendedKeyUsage: [UInt8] = [0x55, 0x1D, 0x25, 0x00]

    /// - Parameter certificates: DER; all are trusted, for any use.
    package static func bytes(_ certificates: [[UInt8]]) -> [UInt8] {
        var bags: [UInt8] = []
        for (number, certificate) in certificates.enumerated() { bags += bag(certificate, alias: "root-\(number)") }
        let authenticated = sequence(contents(sequence(bags)))
        return sequence(element(0x02, [3]) + contents(authenticated))
    }

    private static func bag(_ certificate: [UInt8], alias: String) -> [UInt8] {
        let name = alias.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        let attributes =
            sequence(element(0x06, friendlyName) + element(0x31, element(0x1E, name)))
            + sequence(element(0x06, trustedKeyUsage) + element(0x31, element(0x06, anyExtendedKeyUsage)))
        let value = sequence(element(0x06, x509Certificate) + element(0xA0, element(0x04, certificate)))
        return sequence(element(0x06, certificateBag) + element(0xA0, value) + element(0x31, attributes))
    }

    /// ContentInfo of type data.
    private static func contents(_ bytes: [UInt8]) -> [UInt8] { sequence(element(0x06, data) + element(0xA0, element(0x04, bytes))) }

    private static func sequence(_ bytes: [UInt8]) -> [UInt8] { element(0x30, bytes) }

    /// DER (X.690).
    private static func element(_ tag: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        let count = bytes.count
        if count < 0x80 { return [tag, UInt8(count)] + bytes }
        let digits = (0..<8).reversed().map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }.drop { $0 == 0 }
        return [tag, 0x80 | UInt8(digits.count)] + digits + bytes
    }
}
