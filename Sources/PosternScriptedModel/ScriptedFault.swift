import PosternJSON

/// A request that is answered with an error, in the service's words.
package struct ScriptedFault: Error, Sendable, Equatable {
    /// HTTP status, 400…599.
    package var status: Int
    /// The service's error type, such as `invalid_request_error`.
    package var type: String
    package var message: String
    /// Milliseconds that the client is asked to wait.
    package var retryAfter: Int?

    package init(status: Int, type: String? = nil, message: String, retryAfter: Int? = nil) {
        self.status = status
        self.type = type ?? Self.type(ofStatus: status)
        self.message = message
        self.retryAfter = retryAfter
    }

    package static func invalid(_ message: String) -> ScriptedFault { ScriptedFault(status: 400, message: message) }

    /// The error type that the Messages API sends with a status.
    static func type(ofStatus status: Int) -> String {
        switch status {
        case 401: "authentication_error"
        case 402: "billing_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 413: "request_too_large"
        case 429: "rate_limit_error"
        case 504: "timeout_error"
        case 529: "overloaded_error"
        case 500...: "api_error"
        default: "invalid_request_error"
        }
    }

    /// Whether the service would ask its clients to try again (`x-should-retry`).
    var shouldRetry: Bool { status == 408 || status == 409 || status == 429 || status >= 500 }
}
