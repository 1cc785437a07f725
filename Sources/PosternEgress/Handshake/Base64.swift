/// Base64 with the standard alphabet (RFC 4648, section 4), over bytes.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, byte) in alphabet.enumerated() { values[Int(byte)] = UInt8(value) }
        return values
    }()

    static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        var pending: UInt32 = 0
        var count = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { output.append(alphabet[Int(pending >> shift & 63)]) }
                pending = 0
                count = 0
            }
        }
        if count == 1 {
            output += [alphabet[Int(pending >> 2 & 63)], alphabet[Int(pending << 4 & 63)], UInt8(ascii: "="), UInt8(ascii: "=")]
        } else if count == 2 {
            output += [alphabet[Int(pending >> 10 & 63)], alphabet[Int(pending >> 4 & 63)], alphabet[Int(pending << 2 & 63)], UInt8(ascii: "=")]
        }
        return output
    }

    /// `nil` for what is no base64: foreign characters, a wrong length, bits left over. Padding may be missing, as some clients leave it out.
    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var body = Array(text)
        while body.last == UInt8(ascii: "="), text.count - body.count < 2 { body.removeLast() }
        guard body.count % 4 != 1, body.count == text.count || text.count % 4 == 0 else { return nil }
        var output: [UInt8] = []
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        for byte in body {
            let value = values[Int(byte)]
            guard value != 0xFF else { return nil }
            pending = pending << 6 | UInt32(value)
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            output.append(UInt8(truncatingIfNeeded: pending >> bits))
            pending &= 1 << bits - 1
        }
        return pending == 0 ? output : nil
    }
}
