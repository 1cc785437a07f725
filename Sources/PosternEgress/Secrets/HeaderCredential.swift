import PosternHTTP
import PosternPolicy

/// Puts secrets into the one header of a request that their binding names. A value without I/O.
enum HeaderCredential {
    /// What one header field turned out to be.
    enum Finding: Hashable, Sendable {
        /// No placeholder in it.
        case nothing
        /// The field with the secret in it.
        case filled([UInt8])
        /// A placeholder stands where it may not.
        case misplaced
    }

    /// Looks at a field of a request to `destination` for the placeholder of `secret`.
    static func fill(_ field: HTTPField, with secret: BoundSecret, destination: Authority, encrypted: Bool) -> Finding {
        let placeholder = Array(secret.placeholder.utf8)
        let basic = decodedBasic(field)
        let isPresent = Bytes.contains(field.value, placeholder) || basic.map { Bytes.contains($0, placeholder) } ?? false
        guard isPresent else { return .nothing }
        let binding = secret.binding
        guard field.key == binding.header, binding.covers(destination.host, port: destination.port),
            encrypted || destination.port == 80 && binding.hosts.contains(where: { $0.covers(destination.host) && $0.port == 80 })
        else { return .misplaced }
        for scheme in binding.schemes {
            if let value = filled(field.value, basic, scheme, placeholder, secret.value.bytes) { return .filled(value) }
        }
        return .misplaced
    }

    private static func filled(
        _ value: [UInt8], _ basic: [UInt8]?, _ scheme: SecretBinding.Scheme, _ placeholder: [UInt8], _ secret: [UInt8]
    ) -> [UInt8]? {
        switch scheme {
        case .none: return value == placeholder ? secret : nil
        case .bearer: return prefixed("bearer", value, placeholder, secret)
        case .token: return prefixed("token", value, placeholder, secret)
        case .basic:
            guard let basic, let colon = basic.firstIndex(of: UInt8(ascii: ":")) else { return nil }
            let (user, password) = (Array(basic[..<colon]), Array(basic[(colon + 1)...]))
            if password == placeholder, !Bytes.contains(user, placeholder) {
                return Array("Basic ".utf8) + Base64.encode(user + [UInt8(ascii: ":")] + secret)
            }
            // Some services take the token as the user's name and an empty or fixed password.
            if user == placeholder, password.isEmpty || password.elementsEqual("x-oauth-basic".utf8) || password.elementsEqual("x".utf8) {
                return Array("Basic ".utf8) + Base64.encode(secret + [UInt8(ascii: ":")] + password)
            }
            return nil
        }
    }

    private static func prefixed(_ scheme: String, _ value: [UInt8], _ placeholder: [UInt8], _ secret: [UInt8]) -> [UInt8]? {
        guard let space = value.firstIndex(of: 0x20), String(decoding: value[..<space], as: UTF8.self).lowercased() == scheme,
            HTTPText.trimmed(value[space...]).elementsEqual(placeholder)
        else { return nil }
        return Array(value[...space]) + secret
    }

    /// What a Basic credential says, whatever the header (RFC 7617).
    static func decodedBasic(_ field: HTTPField) -> [UInt8]? {
        guard let space = field.value.firstIndex(of: 0x20), String(decoding: field.value[..<space], as: UTF8.self).lowercased() == "basic" else {
            return nil
        }
        return Base64.decode(HTTPText.trimmed(field.value[space...]))
    }
}

enum Bytes {
    /// Whether `needle` stands somewhere in `text`.
    static func contains(_ text: some Collection<UInt8>, _ needle: [UInt8]) -> Bool {
        guard let first = needle.first, text.count >= needle.count else { return false }
        return text.withContiguousStorageIfAvailable { text in
            var index = 0
            while index <= text.count - needle.count {
                if text[index] == first, needle.indices.allSatisfy({ text[index + $0] == needle[$0] }) { return true }
                index += 1
            }
            return false
        } ?? contains(Array(text), needle)
    }

    /// `text` with `%XX` undone, and `+` read as a space where `form` says so.
    static func unescaped(_ text: some Collection<UInt8>) -> [UInt8] {
        let text = Array(text)
        var output: [UInt8] = []
        var index = 0
        while index < text.count {
            if text[index] == UInt8(ascii: "%"), index + 2 < text.count,
                let byte = UInt8(String(decoding: text[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            {
                output.append(byte)
                index += 3
            } else {
                output.append(text[index])
                index += 1
            }
        }
        return output
    }
}
