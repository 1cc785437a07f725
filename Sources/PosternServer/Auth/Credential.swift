import HTTPTypes
import ManagedAgentsAPI

/// The secret of a request, in either of the header shapes that clients use.
struct Credential: Sendable, Equatable {
    var secret: String
    var isBearer: Bool

    /// - Throws: 401 when there is none.
    init(_ headers: HTTPFields) throws(APIError) {
        if let authorization = headers[.authorization] {
            let parts = authorization.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else {
                throw .unauthenticated("Invalid authorization header: expected Bearer and a key")
            }
            secret = parts[1].trimmed
            isBearer = true
        } else if let key = headers[.apiKey], !key.isEmpty {
            secret = key
            isBearer = false
        } else {
            throw .unauthenticated("Missing credentials: send `authorization: Bearer <key>` or `x-api-key: <key>`")
        }
        guard !secret.isEmpty, secret.utf8.count <= 512 else { throw unknown }
    }

    /// For a secret that opens nothing; the same words for one that never did and one that is gone.
    var unknown: APIError { .unauthenticated(isBearer ? "Invalid bearer token" : "invalid x-api-key") }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while text.last == " " { text.removeLast() }
        while text.first == " " { text.removeFirst() }
        return String(text)
    }
}

extension HTTPField.Name {
    static let apiKey = constant("x-api-key")
    static let workspaceID = constant("anthropic-workspace-id")
    static let workerID = constant("anthropic-worker-id")
    static let requestID = constant("request-id")
    static let shouldRetry = constant("x-should-retry")
    static let lastEventID = constant("last-event-id")
    static let anthropicBeta = constant("anthropic-beta")
    static let posternPoll = constant("postern-poll")
    static let posternPollSeconds = constant("postern-poll-seconds")
    static let posternRedelivery = constant("postern-redelivery")
    static let posternPolicy = constant("postern-policy")
    static let accelBuffering = constant("x-accel-buffering")

    /// For names that are written here and known to be valid.
    private static func constant(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
        return name
    }
}
