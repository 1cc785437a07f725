/// Why a message does not pass the policy of its route, with the rule that says so and the way to change it. Holds no argument's value.
package struct PolicyRefusal: Error, Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The body, or its headers beside it, has more than one reading.
        case malformed
        case tooLarge
        /// A content coding, or another media type than JSON.
        case encoded
        /// The HTTP method carries no JSON-RPC.
        case method
        case denied
        /// Too many calls.
        case rate(seconds: Int)
        /// The connector holds as many bodies as it may.
        case busy
    }

    package var kind: Kind
    /// The key of the policy, such as `tools.deny`, or the part of the message, such as `body.keys`.
    package var rule: String
    package var message: String
    package var remedy: String

    init(_ kind: Kind, _ rule: String, _ message: String, remedy: String) {
        self.kind = kind
        self.rule = rule
        self.message = message
        self.remedy = remedy
    }

    static func malformed(_ rule: String, _ message: String, _ remedy: String) -> PolicyRefusal { .init(.malformed, rule, message, remedy: remedy) }

    static func denied(_ rule: String, _ message: String, _ remedy: String) -> PolicyRefusal { .init(.denied, rule, message, remedy: remedy) }

    /// The HTTP status where the refusal is not the answer to one request.
    var status: Int {
        switch kind {
        case .malformed: 400
        case .tooLarge: 413
        case .encoded: 415
        case .method: 405
        case .denied: 403
        case .rate: 429
        case .busy: 503
        }
    }

    /// Of the JSON-RPC error: outside the range that JSON-RPC reserves (specification 2.0, section 5.1), so that nobody takes it for the server's.
    var code: Int { status }
}
