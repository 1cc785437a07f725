/// A host in the one form on which Postern decides, and in which it resolves, dials, compares and writes names.
///
/// A name is lower-case ASCII without its trailing dot; internationalised names come in their `xn--` form only (RFC 5890). Every
/// spelling of an IPv4 address that some resolver reads as one (`16843009`, `0x7f.1`, `1.1`, octal) is that address, and so is an
/// IPv4-mapped IPv6 address. What cannot be read in one way only is refused.
package enum CanonicalHost: Sendable, Hashable {
    /// At most 253 bytes; labels of 1 to 63 bytes of a–z, 0–9, `-`, `_`.
    case name(String)
    case address(IPAddress)

    /// Reads a host without port: `example.com`, `EXAMPLE.com.`, `1.2.3.4`, `::1`, `[::1]`.
    package init(_ text: String) throws(PolicyValueError) {
        try self.init(bytes: Array(text.utf8))
    }

    /// The same, from bytes that nobody has looked at.
    package init(bytes: [UInt8]) throws(PolicyValueError) {
        func refuse(_ rule: String, _ remedy: String = "") -> PolicyValueError {
            PolicyValueError(value: String(decoding: bytes.prefix(300), as: UTF8.self), rule: rule, remedy: remedy)
        }
        guard !bytes.isEmpty else { throw refuse("a host must not be empty") }
        guard bytes.count <= 255 else { throw refuse("a host has at most 253 bytes") }
        if bytes.contains(where: { $0 <= 0x20 || $0 == 0x7F }) { throw refuse("a host holds no spaces and no control bytes") }
        if bytes.contains(UInt8(ascii: "%")) { throw refuse("a host holds no percent sign: no escapes and no IPv6 zone") }
        if bytes.contains(UInt8(ascii: "@")) { throw refuse("a host holds no user information", "leave out what stands before the @") }
        if bytes.contains(where: { $0 >= 0x80 }) {
            throw refuse("an internationalised name must come in its ASCII form", "write its xn-- form")
        }
        if bytes.contains(UInt8(ascii: ":")) || bytes.first == UInt8(ascii: "[") {
            var inner = bytes[...]
            if inner.first == UInt8(ascii: "[") {
                guard inner.last == UInt8(ascii: "]") else { throw refuse("an IPv6 address lacks its closing bracket") }
                inner = inner.dropFirst().dropLast()
            }
            guard inner.contains(UInt8(ascii: ":")), let address = IPAddress(String(decoding: inner, as: UTF8.self)) else {
                throw refuse("is no IPv6 address")
            }
            self = .address(address)
            return
        }
        var text = bytes.map { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 ? $0 | 0x20 : $0 }
        if text.last == UInt8(ascii: ".") { text.removeLast() }
        let labels = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if let last = labels.last, IPv4Text.isNumeric(last) {
            guard let value = IPv4Text.loose(text[...]) else {
                throw refuse("a host whose last label is a number must be an IPv4 address")
            }
            self = .address(.v4(value))
            return
        }
        guard text.count <= 253 else { throw refuse("a host has at most 253 bytes") }
        for label in labels {
            guard (1...63).contains(label.count) else { throw refuse("each label of a name has 1 to 63 bytes") }
            guard label.allSatisfy(Self.isLabelByte) else { throw refuse("a name consists of letters, digits, '-', '_' and dots") }
            guard label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else {
                throw refuse("a label neither begins nor ends with '-'")
            }
            if label.starts(with: "xn--".utf8), !Punycode.isValid(label.dropFirst(4)) {
                throw refuse("\"\(String(decoding: label, as: UTF8.self))\" is no valid internationalised label (RFC 3492)")
            }
        }
        self = .name(String(decoding: text, as: UTF8.self))
    }

    private static func isLabelByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    package var address: IPAddress? {
        if case .address(let address) = self { address } else { nil }
    }

    /// The host as it stands in a URL or a Host header: IPv6 in brackets.
    package var authority: String {
        if case .address(let address) = self, address.isIPv6 { "[\(address)]" } else { description }
    }

    /// `host:port` as a CONNECT target or a Host header writes it.
    package func authority(port: UInt16) -> String { "\(authority):\(port)" }
}

/// The host alone: IPv6 without brackets.
extension CanonicalHost: CustomStringConvertible {
    package var description: String {
        switch self {
        case .name(let name): name
        case .address(let address): address.description
        }
    }
}
