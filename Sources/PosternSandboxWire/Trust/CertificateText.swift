/// Certificates as text (RFC 7468).
package enum CertificateText {
    private static let begin = Array("-----BEGIN CERTIFICATE-----".utf8)
    private static let end = Array("-----END CERTIFICATE-----".utf8)

    /// The DER of each certificate of a file, in its order. What is no certificate, or is broken off or misspelt, is left out: a bundle of a
    /// system has remarks, and one bad entry takes nothing from the others.
    package static func certificates(in text: [UInt8]) -> [[UInt8]] {
        var found: [[UInt8]] = []
        var current: Base64Decoder?
        for line in text.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
            if line.elementsEqual(begin) {
                current = Base64Decoder()
            } else if line.elementsEqual(end) {
                if let bytes = current?.finish(), !bytes.isEmpty { found.append(bytes) }
                current = nil
            } else if current?.add(line) == false {
                current = nil
            }
        }
        return found
    }
}

/// RFC 4648 base64, with padding, taken line by line.
private struct Base64Decoder {
    private var bytes: [UInt8] = []
    private var bits: UInt32 = 0
    private var count = 0
    private var padding = 0

    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, byte) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8.enumerated() { values[Int(byte)] = UInt8(value) }
        return values
    }()

    /// `false` when the text is no base64.
    mutating func add(_ line: ArraySlice<UInt8>) -> Bool {
        for byte in line where byte != 0x20 && byte != 0x09 {
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            let value = Self.values[Int(byte)]
            guard value != 255, padding == 0 else { return false }
            bits = bits << 6 | UInt32(value)
            count += 1
            if count == 4 {
                bytes += [UInt8(bits >> 16 & 255), UInt8(bits >> 8 & 255), UInt8(bits & 255)]
                (bits, count) = (0, 0)
            }
        }
        return true
    }

    /// `nil` when the text ends within a group.
    func finish() -> [UInt8]? {
        switch (count, padding) {
        case (0, 0): bytes
        case (2, 2): bytes + [UInt8(bits >> 4 & 255)]
        case (3, 1): bytes + [UInt8(bits >> 10 & 255), UInt8(bits >> 2 & 255)]
        default: nil
        }
    }
}
