/// Host names as TLS and tunnels use them: DNS names of letters, digits, `-` and `_` (RFC 1035, section 2.3.1; the underscore as service names have it).
package enum HostName {
    /// The name in lower case; `nil` for what is no such name: empty, longer than 253 bytes, a label of other than 1 to 63 bytes or with a
    /// hyphen at an end, a dot at the end, and addresses.
    package static func canonical(_ bytes: some Collection<UInt8>) -> String? {
        guard (1...253).contains(bytes.count) else { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var label = 0
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): output.append(byte)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): output.append(byte | 0x20)
            case UInt8(ascii: "-"):
                guard label > 0 else { return nil }
                output.append(byte)
            case UInt8(ascii: "."):
                guard label > 0, output.last != UInt8(ascii: "-") else { return nil }
                output.append(byte)
                label = -1
            default: return nil
            }
            label += 1
            guard label <= 63 else { return nil }
        }
        guard label > 0, output.last != UInt8(ascii: "-") else { return nil }
        // A last label of digits is how an IPv4 address ends, and no name of a domain does.
        let last = output.split(separator: UInt8(ascii: ".")).last ?? []
        guard !last.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return String(decoding: output, as: UTF8.self)
    }

    package static func canonical(_ text: String) -> String? { canonical(Array(text.utf8)) }
}
