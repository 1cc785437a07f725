extension TextFormat {
    package static let hostPattern = TextFormat("host pattern") { text throws(PolicyValueError) in try HostPattern(text).description }

    package static let urlPath = TextFormat("path pattern of a URL", pattern: "^(/|\\*\\*$)") { text throws(PolicyValueError) in
        try PathPattern(text).description
    }

    package static let addresses = TextFormat("IP address or CIDR block") { text throws(PolicyValueError) in
        let range = try AddressRange(text)
        if let service = SpecialAddresses.metadataService(range.base) {
            throw PolicyValueError(value: text, rule: "is \(service), and no policy can open it", remedy: "leave it out")
        }
        return range.description
    }

    package static let authority = TextFormat("host:port") { text throws(PolicyValueError) in try Authority(text).description }

    /// RFC 9110, section 9.1; `CONNECT` is the proxy's.
    package static let method = TextFormat("HTTP method", pattern: "^[A-Z]{1,32}$") { text throws(PolicyValueError) in
        guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }), text != "CONNECT" else {
            throw PolicyValueError(
                value: text, rule: "must be a method in upper-case letters, and not CONNECT",
                remedy: EditDistance.suggestion(for: text.uppercased(), among: known)
            )
        }
        return text
    }

    private static let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    package static let headerName = TextFormat("header name", pattern: "^[A-Za-z0-9_-]{1,64}$") { text throws(PolicyValueError) in
        text.lowercased()
    }

    package static let ruleID = TextFormat("name", pattern: "^[A-Za-z0-9._-]{1,64}$") { text throws(PolicyValueError) in
        let isValid = text.utf8.allSatisfy { byte in
            byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || "-_.".utf8.contains(byte)
        }
        guard (1...64).contains(text.utf8.count), isValid else {
            throw PolicyValueError(value: text, rule: "must be a name of 1 to 64 letters, digits, '-', '_' and dots")
        }
        return text
    }

    /// A path below `/v1/` that stays where it is read to be.
    package static let vaultPath = TextFormat("path in Vault", pattern: "^[^/?#%]") { text throws(PolicyValueError) in
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"?#%\\".utf8.contains($0) }
        guard text.utf8.count <= 500, isPlain, parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
            throw PolicyValueError(
                value: text, rule: "must be a path of plain characters without empty parts, . and ..", remedy: "write it as secret/data/team/database"
            )
        }
        return text
    }
}
