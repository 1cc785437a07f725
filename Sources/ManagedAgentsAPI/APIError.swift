import PosternJSON

/// An error as the API answers it (contract section 1.4). The message is for the caller: it never holds a secret.
package struct APIError: Error, Sendable, Equatable {
    /// The `error.type` values that the SDK knows.
    package enum Kind: String, Sendable {
        case invalidRequest = "invalid_request_error"
        case authentication = "authentication_error"
        case billing = "billing_error"
        case permission = "permission_error"
        case notFound = "not_found_error"
        case rateLimit = "rate_limit_error"
        case timeout = "timeout_error"
        case api = "api_error"
        case overloaded = "overloaded_error"
        case conflict = "conflict_error"
        case requestTooLarge = "request_too_large"
    }

    package var status: Int
    package var kind: Kind
    package var message: String
    /// The `details` member, inside `error`.
    package var details: JSONObject?
    /// Sent as `x-should-retry`; without it a client retries 408, 409, 429 and 5xx by itself.
    package var shouldRetry: Bool?
    /// Seconds, sent as `retry-after`.
    package var retryAfter: Int?
    /// A word beside the error for programs to tell refusals apart by; on Postern's own routes only.
    package var reason: String?
    /// Whether the answer names the request. The reference leaves its id out of one answer (observed behaviours, "revoked environment key").
    package var namesRequest = true

    package init(
        _ status: Int, _ kind: Kind, _ message: String, details: JSONObject? = nil, shouldRetry: Bool? = nil, retryAfter: Int? = nil
    ) {
        self.status = status
        self.kind = kind
        self.message = message
        self.details = details
        self.shouldRetry = shouldRetry
        self.retryAfter = retryAfter
    }

    package static func invalid(_ message: String, details: JSONObject? = nil) -> APIError {
        APIError(400, .invalidRequest, message, details: details, shouldRetry: false)
    }
    package static func unauthenticated(_ message: String) -> APIError { APIError(401, .authentication, message, shouldRetry: false) }
    package static func forbidden(_ message: String) -> APIError { APIError(403, .permission, message, shouldRetry: false) }
    package static func notFound(_ message: String) -> APIError { APIError(404, .notFound, message, shouldRetry: false) }
    package static func conflict(_ message: String, details: JSONObject? = nil) -> APIError {
        APIError(409, .invalidRequest, message, details: details, shouldRetry: false)
    }
    package static func tooLarge(_ message: String) -> APIError { APIError(413, .requestTooLarge, message, shouldRetry: false) }
    package static let internalError = APIError(500, .api, "Internal server error")

    /// The body of the answer.
    package func body(requestID: String?) -> JSON {
        var error: JSONObject = ["type": .string(kind.rawValue), "message": .string(message)]
        if let details { error["details"] = .object(details) }
        var body: JSONObject = ["type": "error", "error": .object(error), "request_id": JSON(requestID)]
        if let reason { body["reason"] = .string(reason) }
        return .object(body)
    }
}

extension APIError: CustomStringConvertible {
    package var description: String { "\(status) \(kind.rawValue): \(message)" }
}
