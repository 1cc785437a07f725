import ManagedAgentsAPI
import PosternJSON

/// Why a call failed. Its texts name status, kind, message and request id, never a credential or the base address.
package enum ClientError: Error, Sendable, Equatable {
    /// The service answered with an error.
    case api(APIFailure)
    /// No answer, or it broke off.
    case transport(TransportError)
    /// An `event: error` frame on a stream: transient, the stream is to be opened again (contract, section 1.7).
    case stream(String)
    /// The answer is not what the contract says.
    case malformed(String)

    package var isCancellation: Bool { self == .transport(.cancelled) }

    package var status: Int? {
        guard case .api(let failure) = self else { return nil }
        return failure.error.status
    }

    /// 4xx other than 408, 409 and 429 cannot be helped by waiting (contract, section 6.2); everything else is transient.
    package var isFatal: Bool {
        switch self {
        case .api(let failure): (400..<500).contains(failure.error.status) && ![408, 409, 429].contains(failure.error.status)
        case .transport(.refused), .transport(.cancelled): true
        case .transport, .stream, .malformed: false
        }
    }

    /// How long the service asked to wait.
    package var retryAfter: Duration? {
        guard case .api(let failure) = self else { return nil }
        return failure.retryAfter
    }
}

/// An error answer.
package struct APIFailure: Error, Sendable, Equatable {
    /// Status, kind, message and details. A kind that is not known is mapped by status; `typeName` keeps the word.
    package var error: APIError
    /// `error.type` as sent; empty if the answer had none.
    package var typeName: String
    package var requestID: String?
    package var retryAfter: Duration?

    package init(error: APIError, typeName: String, requestID: String?, retryAfter: Duration? = nil) {
        self.error = error
        self.typeName = typeName
        self.requestID = requestID
        self.retryAfter = retryAfter
    }

    /// Reads an error answer. A body that is not the contract's (a proxy's page, an empty one) gives a message made of its start.
    package init(status: Int, headers: ClientHeaders, body: [UInt8], unixTime: Int64) {
        let json = try? JSON(parsing: body)
        let member = json?["error"]
        typeName = member?["type"]?.string ?? ""
        let kind = APIError.Kind(rawValue: typeName) ?? Self.kind(status: status)
        let message = member?["message"]?.string ?? Self.excerpt(body, status: status)
        let retry = headers["x-should-retry"].flatMap { $0 == "true" ? true : $0 == "false" ? false : nil }
        retryAfter = RetryPolicy.retryAfter(headers, unixTime: unixTime)
        error = APIError(
            status, kind, message, details: member?["details"]?.object, shouldRetry: retry,
            retryAfter: retryAfter.map { Int($0.components.seconds) })
        error.reason = json?["reason"]?.string
        requestID = headers["request-id"] ?? json?["request_id"]?.string
    }

    private static func kind(status: Int) -> APIError.Kind {
        switch status {
        case 401: .authentication
        case 402: .billing
        case 403: .permission
        case 404: .notFound
        case 409: .conflict
        case 413: .requestTooLarge
        case 429: .rateLimit
        case 408, 504: .timeout
        case 529, 503: .overloaded
        case 500...: .api
        default: .invalidRequest
        }
    }

    private static func excerpt(_ body: [UInt8], status: Int) -> String {
        let text = String(decoding: body.prefix(300), as: UTF8.self).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return text.isEmpty ? "HTTP \(status) without a body" : text
    }
}

extension ClientError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .api(let failure): failure.description
        case .transport(let error): error.description
        case .stream(let message): "the stream ended with an error: \(message)"
        case .malformed(let reason): "unexpected answer: \(reason)"
        }
    }
}

extension APIFailure: CustomStringConvertible {
    package var description: String {
        let kind = typeName.isEmpty ? error.kind.rawValue : typeName
        return "\(error.status) \(kind): \(error.message)" + (requestID.map { " (request \($0))" } ?? "")
    }
}
