/// Makes and checks the ids of resources: a prefix, `_`, and a token of 24 characters that starts with `01` and goes on in base 58
/// (no `0`, `I`, `O`, `l`), as the reference writes them (observed behaviours, "id format").
package enum ResourceID {
    package enum Prefix: String, Sendable, CaseIterable {
        case agent, environment = "env", session = "sesn", event = "sevt", thread = "sthr", environmentKey = "ekey", apiKey = "apikey"
        case workspace = "wrkspc", request = "req", skill, file, memoryStore = "memstore", vault = "vlt", deployment = "depl"
        case tunnel = "tnl", tunnelCertificate = "tcrt", tunnelToken = "ttok"
    }

    private static let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
    private static let tokenLength = 24

    /// A fresh id with 22 random base-58 characters, about 128 bits.
    package static func make(_ prefix: Prefix, using generator: inout some RandomNumberGenerator) -> String {
        let head = prefix.rawValue
        return String(unsafeUninitializedCapacity: head.utf8.count + 1 + tokenLength) { buffer in
            var index = buffer.initialize(fromContentsOf: head.utf8)
            for byte in "_01".utf8 {
                buffer.initializeElement(at: index, to: byte)
                index += 1
            }
            // Ten base-58 digits fit into 64 bits: few draws, because each is a system call.
            var bits: UInt64 = 0
            for place in 0..<tokenLength - 2 {
                if place % 8 == 0 { bits = generator.next() }
                buffer.initializeElement(at: index, to: alphabet[Int(bits % 58)])
                bits /= 58
                index += 1
            }
            return index
        }
    }

    package static func make(_ prefix: Prefix) -> String {
        var generator = SystemRandomNumberGenerator()
        return make(prefix, using: &generator)
    }

    /// Whether `text` has the form of an id of that kind. Says nothing of whether the resource exists.
    package static func isWellFormed(_ text: String, _ prefix: Prefix) -> Bool {
        guard text.hasPrefix(prefix.rawValue + "_01") else { return false }
        let token = text.utf8.dropFirst(prefix.rawValue.utf8.count + 1)
        return token.count == tokenLength && token.dropFirst(2).allSatisfy(alphabet.contains)
    }
}
