/// A host with its port, as CONNECT targets, Host headers and configuration write them (RFC 9110, section 4.2; RFC 3986, section 3.2).
package struct Authority: Sendable, Hashable, CustomStringConvertible {
    package var host: CanonicalHost
    package var port: UInt16

    package init(host: CanonicalHost, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `example.com:443`, `[::1]:443`; without a port it is `defaultPort`, and an error where there is none.
    package init(bytes: some Sequence<UInt8>, defaultPort: UInt16? = nil) throws(PolicyValueError) {
        let bytes = Array(bytes)
        let colon: Int?
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw PolicyValueError(value: String(decoding: bytes, as: UTF8.self), rule: "an IPv6 address lacks its closing bracket")
            }
            colon = bracket + 1 < bytes.count ? bracket + 1 : nil
        } else {
            colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        }
        guard let colon else {
            guard let defaultPort else {
                throw PolicyValueError(value: String(decoding: bytes, as: UTF8.self), rule: "lacks a port", remedy: "write host:port")
            }
            self.init(host: try CanonicalHost(bytes: bytes), port: defaultPort)
            return
        }
        let digits = bytes[(colon + 1)...]
        guard bytes[colon] == UInt8(ascii: ":"), (1...5).contains(digits.count),
            digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let port = UInt16(String(decoding: digits, as: UTF8.self)), port > 0
        else {
            throw PolicyValueError(value: String(decoding: bytes, as: UTF8.self), rule: "a port is a number from 1 to 65535")
        }
        self.init(host: try CanonicalHost(bytes: Array(bytes[..<colon])), port: port)
    }

    package init(_ text: String, defaultPort: UInt16? = nil) throws(PolicyValueError) {
        try self.init(bytes: text.utf8, defaultPort: defaultPort)
    }

    package var description: String { host.authority(port: port) }
}
