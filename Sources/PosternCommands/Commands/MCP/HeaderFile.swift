import ManagedAgentsClient
import PosternMCP

/// Header fields of the operator's, from a file: `Name: value` a line; empty lines and those that begin with `#` are left out.
enum HeaderFile {
    static func fields(parsing text: String, name: String, hasBearer: Bool) throws(CommandError) -> [(name: String, value: Secret)] {
        var fields: [(name: String, value: Secret)] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.trimmingSpaces
            if line.isEmpty || line.hasPrefix("#") { continue }
            // The line itself may hold a secret and is in no error.
            func problem(_ rule: String) -> CommandError { CommandError(.configuration, "\(name):\(index + 1): \(rule)") }
            guard let colon = line.firstIndex(of: ":") else { throw problem("a header field must be written Name: value") }
            let field = String(line[..<colon])
            let value = line[line.index(after: colon)...].trimmingSpaces
            guard !field.isEmpty, field.utf8.allSatisfy({ tokenBytes.contains($0) }) else { throw problem("that is no name of a header field") }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { throw problem("the value of \(field) has a control character") }
            let lower = field.lowercased()
            guard !HTTPLink.reservedFields.contains(lower), !lower.hasPrefix("mcp-param-") else {
                throw problem("\(field) is set by the client itself")
            }
            guard !(hasBearer && lower == "authorization") else {
                throw problem("\(field) and --bearer-file or --oauth-issuer are two of a kind; give one")
            }
            fields.append((name: field, value: Secret(value)))
        }
        return fields
    }

    /// RFC 9110, section 5.6.2.
    private static let tokenBytes = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
}
