/// Text forms of IPv4 addresses.
enum IPv4Text {
    /// Four decimal numbers without leading zeros.
    static func strict(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0"), let number = number(part, radix: 10),
                number < 256
            else { return nil }
            value = value << 8 | UInt32(number)
        }
        return value
    }

    /// Every spelling that `inet_aton` and the WHATWG URL Standard ("IPv4 parser") read: one to four parts, each decimal, octal (`0…`)
    /// or hexadecimal (`0x…`), the last one filling the rest.
    static func loose(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...4).contains(parts.count) else { return nil }
        var value: UInt64 = 0
        for (index, part) in parts.enumerated() {
            guard let number = looseNumber(part) else { return nil }
            if index < parts.count - 1 {
                guard number < 256 else { return nil }
                value |= number << UInt64(24 - 8 * index)
            } else {
                guard number < UInt64(1) << UInt64(8 * (5 - parts.count)) else { return nil }
                value |= number
            }
        }
        return UInt32(exactly: value)
    }

    /// Whether some resolver would read `label` as a number: then the whole host must be an address.
    static func isNumeric(_ label: ArraySlice<UInt8>) -> Bool {
        if !label.isEmpty, label.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) { return true }
        return label.count >= 2 && label.first == UInt8(ascii: "0") && label.dropFirst().first.map { $0 | 0x20 } == UInt8(ascii: "x")
            && label.dropFirst(2).allSatisfy { digit($0).map { $0 < 16 } ?? false }
    }

    private static func looseNumber(_ part: ArraySlice<UInt8>) -> UInt64? {
        guard let first = part.first else { return nil }
        guard first == UInt8(ascii: "0"), part.count > 1 else { return number(part, radix: 10) }
        let second = part[part.startIndex + 1] | 0x20
        return second == UInt8(ascii: "x") ? number(part.dropFirst(2), radix: 16) : number(part.dropFirst(), radix: 8)
    }

    private static func number(_ digits: ArraySlice<UInt8>, radix: UInt64) -> UInt64? {
        guard !digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for byte in digits {
            guard let digit = digit(byte), digit < radix, value <= 0xFFFF_FFFF else { return nil }
            value = value * radix + digit
        }
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }
}

/// Text forms of IPv6 addresses (RFC 4291, section 2.2; RFC 5952).
enum IPv6Text {
    /// No brackets, no zone.
    static func parse(_ text: [UInt8]) -> (high: UInt64, low: UInt64)? {
        guard text.count <= 45 else { return nil }
        var groups: [UInt16] = []
        var gap: Int?
        var position = 0
        if text.starts(with: "::".utf8) {
            gap = 0
            position = 2
        }
        while position < text.count {
            let end = text[position...].firstIndex(of: UInt8(ascii: ":")) ?? text.count
            let part = text[position..<end]
            if part.contains(UInt8(ascii: ".")) {
                guard end == text.count, let value = IPv4Text.strict(part) else { return nil }
                groups += [UInt16(truncatingIfNeeded: value >> 16), UInt16(truncatingIfNeeded: value)]
                position = end
            } else {
                guard (1...4).contains(part.count), part.allSatisfy({ $0 != UInt8(ascii: "+") }),
                    let value = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
                else { return nil }
                groups.append(value)
                position = end
                guard position < text.count else { break }
                position += 1
                if position < text.count, text[position] == UInt8(ascii: ":") {
                    guard gap == nil else { return nil }
                    gap = groups.count
                    position += 1
                } else if position == text.count {
                    return nil
                }
            }
            guard groups.count <= 8 else { return nil }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        return (groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }, groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
    }

    static func write(_ high: UInt64, _ low: UInt64) -> String {
        let groups = (0..<4).map { high >> (48 - 16 * $0) & 0xFFFF } + (0..<4).map { low >> (48 - 16 * $0) & 0xFFFF }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(1, best.count) { best = start..<end }
            start = max(end, start + 1)
        }
        let text = { (slice: ArraySlice<UInt64>) in slice.map { String($0, radix: 16) }.joined(separator: ":") }
        guard !best.isEmpty else { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}
