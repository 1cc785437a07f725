/// Whether a host is this machine and no other: the one test behind "plain HTTP on loopback only", for what is dialled and what is listened on.
package enum Loopback {
    /// True for `localhost`, for an address of 127.0.0.0/8 in four decimal parts (RFC 1122, section 3.2.1.3) and for ::1 in any spelling
    /// (RFC 4291, section 2.5.3), with or without brackets.
    ///
    /// False for everything that a resolver or another parser could read otherwise: names below `localhost` or with a dot at the end, octal,
    /// hexadecimal and shortened addresses, IPv4 written as IPv6, zones. The unspecified addresses 0.0.0.0 and :: are every interface.
    /// - Parameter host: without a port.
    package static func includes(_ host: String) -> Bool {
        // Bytes, not characters: a combining mark would make one with a bracket or a dot and vanish with it.
        let bytes = host.utf8[...]
        if bytes.first == UInt8(ascii: "[") {
            // Brackets are for IPv6 alone (RFC 3986, section 3.2.2).
            return bytes.count > 2 && bytes.last == UInt8(ascii: "]") && isLoopbackV6(bytes.dropFirst().dropLast())
        }
        return isLocalhost(bytes) || isLoopbackV4(bytes) || isLoopbackV6(bytes)
    }

    private static func isLocalhost(_ text: Substring.UTF8View) -> Bool {
        text.count == 9 && zip(text, "localhost".utf8).allSatisfy { $0 == $1 || ((65...90).contains($0) && $0 | 0x20 == $1) }
    }

    private static func isLoopbackV4(_ text: Substring.UTF8View) -> Bool {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0].elementsEqual("127".utf8) && parts.allSatisfy(isDecimalOctet)
    }

    /// 0 to 255 without a leading zero, which some parsers take for octal.
    private static func isDecimalOctet(_ part: Substring.UTF8View) -> Bool {
        guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return false }
        var value = 0
        for byte in part {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return false }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return value <= 255
    }

    /// Seven groups of zero and a last one of 1; one run of zeros may be written `::`.
    private static func isLoopbackV6(_ text: Substring.UTF8View) -> Bool {
        var groups = text.split(separator: UInt8(ascii: ":"), maxSplits: 9, omittingEmptySubsequences: false)
        guard groups.count >= 3, groups.count <= 9, let last = groups.popLast(), isGroup(last, of: 1) else { return false }
        // A leading `::` makes two empty groups, any other makes one.
        if groups[0].isEmpty {
            guard groups[1].isEmpty else { return false }
            groups.removeFirst()
        }
        let empty = groups.count(where: \.isEmpty)
        // `::` stands for one group at least, and eight groups are written out without it.
        guard empty == 0 ? groups.count == 7 : empty == 1 && groups.count <= 7 else { return false }
        return groups.allSatisfy { $0.isEmpty || isGroup($0, of: 0) }
    }

    /// One to four hexadecimal digits with the value 0 or 1.
    private static func isGroup(_ group: Substring.UTF8View, of value: UInt8) -> Bool {
        guard (1...4).contains(group.count), group.last == UInt8(ascii: "0") + value else { return false }
        return group.dropLast().allSatisfy { $0 == UInt8(ascii: "0") }
    }
}
