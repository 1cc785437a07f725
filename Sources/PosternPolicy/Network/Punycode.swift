/// The decoder of RFC 3492, section 6.2, to tell internationalised labels from look-alikes.
enum Punycode {
    /// Whether `label` (without `xn--`) decodes to text that needed the encoding: at least one character beyond ASCII, none a
    /// surrogate, a control or a dot in disguise.
    static func isValid(_ label: ArraySlice<UInt8>) -> Bool {
        guard let scalars = decode(label) else { return false }
        return scalars.contains { $0.value >= 0x80 }
            && !scalars.contains { forbidden.contains($0.value) || $0.properties.generalCategory == .control }
    }

    /// Ideographic, fullwidth and halfwidth full stops, which some software reads as a dot; soft hyphen and zero-width characters.
    private static let forbidden: Set<UInt32> = [0x3002, 0xFF0E, 0xFF61, 0x2024, 0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF]

    static func decode(_ label: ArraySlice<UInt8>) -> [Unicode.Scalar]? {
        var output: [UInt32] = []
        var input = label
        if let delimiter = label.lastIndex(of: UInt8(ascii: "-")) {
            output = label[..<delimiter].map(UInt32.init)
            input = label[(delimiter + 1)...]
        }
        guard !input.isEmpty else { return nil }
        var code: UInt32 = 128
        var index: UInt32 = 0
        var bias: UInt32 = 72
        while !input.isEmpty {
            let start = index
            var weight: UInt32 = 1
            var step: UInt32 = 36
            while true {
                guard let byte = input.popFirst(), let digit = digit(byte) else { return nil }
                let (product, tooLarge) = digit.multipliedReportingOverflow(by: weight)
                let (sum, overflow) = index.addingReportingOverflow(product)
                guard !tooLarge, !overflow else { return nil }
                index = sum
                let threshold = step <= bias ? 1 : min(26, step - bias)
                if digit < threshold { break }
                let (next, over) = weight.multipliedReportingOverflow(by: 36 - threshold)
                guard !over else { return nil }
                weight = next
                step += 36
            }
            let count = UInt32(output.count) + 1
            bias = adapt(index - start, count: count, first: start == 0)
            let (sum, overflow) = code.addingReportingOverflow(index / count)
            guard !overflow, Unicode.Scalar(sum) != nil else { return nil }
            code = sum
            index %= count
            output.insert(code, at: Int(index))
            index += 1
        }
        let scalars = output.compactMap(Unicode.Scalar.init)
        return scalars.count == output.count ? scalars : nil
    }

    private static func adapt(_ delta: UInt32, count: UInt32, first: Bool) -> UInt32 {
        var delta = first ? delta / 700 : delta / 2
        delta += delta / count
        var steps: UInt32 = 0
        while delta > 455 {
            delta /= 35
            steps += 36
        }
        return steps + 36 * delta / (delta + 38)
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a"))
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0") + 26)
        default: nil
        }
    }
}
