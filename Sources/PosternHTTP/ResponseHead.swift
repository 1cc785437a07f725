/// The head of a response, syntactically sound and with one reading only.
package struct ResponseHead: Hashable, Sendable {
    package var minorVersion: Int
    /// 100 to 599.
    package var status: Int
    package var reason: [UInt8]
    package var fields: HTTPFields

    /// From the lines of a head (RFC 9112, section 4).
    package init(lines: [ArraySlice<UInt8>]) throws(HTTPRefusal) {
        let line = lines.first ?? []
        let version = line.prefix(9)
        guard version.elementsEqual("HTTP/1.1 ".utf8) || version.elementsEqual("HTTP/1.0 ".utf8) else {
            throw HTTPRefusal(502, "the server's answer is no HTTP/1 response")
        }
        minorVersion = version[version.startIndex + 7] == UInt8(ascii: "1") ? 1 : 0
        let rest = line.dropFirst(9)
        guard let status = HTTPText.number(rest.prefix(3)), (100...599).contains(status), rest.count == 3 || rest.dropFirst(3).first == 0x20 else {
            throw HTTPRefusal(502, "the server's answer has no valid status")
        }
        self.status = status
        reason = Array(rest.dropFirst(4))
        guard reason.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw HTTPRefusal(502, "the server's answer has a malformed reason")
        }
        do throws(HTTPRefusal) {
            fields = try HeadReader.fields(lines.dropFirst())
        } catch {
            throw HTTPRefusal(502, "the server's answer: \(error.reason)")
        }
    }

    /// Whether this is an answer before the final one. 101 is final here: the protocol changes.
    package var isInterim: Bool { status < 200 && status != 101 }

    /// Whether the server keeps its connection open after the body.
    package var keepsAlive: Bool {
        let options = fields.named("connection").flatMap(\.tokens)
        return minorVersion == 1 ? !options.contains("close") : options.contains("keep-alive")
    }

    /// The bytes on the wire, with the empty line.
    package var encoded: [UInt8] {
        var output = Array("HTTP/1.1 \(status) ".utf8) + reason + [0x0D, 0x0A]
        fields.write(to: &output)
        return output
    }
}
