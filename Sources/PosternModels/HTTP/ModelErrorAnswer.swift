import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// An answer with an error status, or an error in the middle of a stream, and what it means. A value without I/O.
struct ModelErrorAnswer {
    private static let maximumMessage = 1_000
    /// The session sleeps as long as the service says, so no wait beyond a day is believed. There is no clock here either: a date is measured against
    /// the `date` of the same answer or not at all.
    private static let longestWait = Duration.seconds(86_400)

    var status: Int?
    /// `error.type` (and `error.code` at OpenAI-compatible services).
    var type: String?
    var code: String?
    /// `error.param` of OpenAI-compatible services: the field that is at fault.
    var param: String?
    var message: String?
    var requestID: String?
    var retryAfter: Duration?
    /// `x-should-retry`: the service's own opinion.
    var shouldRetry: Bool?
    /// `error.n_ctx` of llama.cpp.
    var contextTokens: Int?

    init(status: Int, header: (String) -> String?, body: [UInt8]) {
        self.status = status
        requestID = header("request-id") ?? header("x-request-id")
        retryAfter = RetryAfter.read(header, maximum: Self.longestWait)
        switch header("x-should-retry") {
        case "true": shouldRetry = true
        case "false": shouldRetry = false
        default: break
        }
        if let value = try? JSON(parsing: body) { read(value) }
    }

    /// An `error` event.
    init(event: JSON) { read(event) }

    private mutating func read(_ value: JSON) {
        // Some compatible servers send the error as a bare string.
        type = value["error"]?["type"]?.string
        code = value["error"]?["code"]?.string
        param = value["error"]?["param"]?.string
        message = value["error"]?["message"]?.string ?? value["error"]?.string ?? value["message"]?.string
        requestID = requestID ?? value["request_id"]?.string
        contextTokens = value["error"]?["n_ctx"]?.int
    }

    var error: ModelError {
        let kind = kind
        let isInvalid = status.map { $0 == 400 || $0 == 422 } ?? (type == "invalid_request_error")
        let refusesContent = kind == .requestFailed && isInvalid && isOfMessages
        return ModelError(
            kind, text, retryAfter: retryAfter, contextTokens: isContextTooLong ? toldContextTokens : nil, refusesContent: refusesContent)
    }

    /// The fault is in what the conversation holds, not in a setting: that is mended by the operator, and nothing of the conversation may be lost for it.
    private var isOfMessages: Bool {
        if param?.hasPrefix("messages") == true { return true }
        guard let message = message?.lowercased() else { return false }
        return ["messages", "image", "pdf", "document", "content block"].contains { message.contains($0) }
    }

    private var kind: ModelError.Kind {
        let kind = kindByContent
        switch shouldRetry {
        case false? where [.overloaded, .rateLimited, .unavailable].contains(kind): return .requestFailed
        case true? where kind == .requestFailed: return .unavailable
        default: return kind
        }
    }

    private var kindByContent: ModelError.Kind {
        if isContextTooLong { return .contextTooLong }
        if code == "insufficient_quota" || message?.contains("credit balance is too low") == true { return .billing }
        switch type {
        case "overloaded_error": return .overloaded
        case "rate_limit_error", "rate_limit_exceeded": return .rateLimited
        case "billing_error": return .billing
        case "authentication_error", "permission_error": return .authentication
        case "api_error", "timeout_error", "server_error": return .unavailable
        default: break
        }
        switch status {
        case 529?: return .overloaded
        case 429?: return .rateLimited
        case 402?: return .billing
        case 401?, 403?: return .authentication
        case 408?: return .unavailable
        case .some(500...): return .unavailable
        case nil: return type == "invalid_request_error" || type == "request_too_large" || type == "not_found_error" ? .requestFailed : .unavailable
        default: return .requestFailed
        }
    }

    /// Most services tell this by words only.
    private var isContextTooLong: Bool {
        if code == "context_length_exceeded" || type == "exceed_context_size_error" { return true }
        if status == 413 || type == "request_too_large" { return true }
        guard let message else { return false }
        return ["prompt is too long", "exceed context limit", "maximum context length", "exceeds the available context size"].contains {
            message.contains($0)
        }
    }

    /// The context's size, as the message of a refusal names it.
    private var toldContextTokens: Int? {
        let told = contextTokens ?? number(after: "maximum context length is ") ?? number(after: "available context size (") ?? number(after: " > ")
        // Less is no context that a conversation could go on in, and a misread number must not make one of it.
        return told.flatMap { (1_000...1_000_000_000).contains($0) ? $0 : nil }
    }

    private func number(after words: String) -> Int? {
        guard let message, let place = message.firstRange(of: words) else { return nil }
        return Int(message[place.upperBound...].prefix { $0.isASCII && $0.isNumber })
    }

    private var text: String {
        var text = status.map { "the model service answered \($0)" } ?? "the model service broke off its answer"
        if let type { text += " (\(type.prefix(100)))" }
        if let message { text += ": \(message.prefix(Self.maximumMessage))" }
        if let requestID { text += " [request \(requestID.prefix(100))]" }
        return text
    }
}
