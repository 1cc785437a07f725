import PosternJSON

/// Whatever answers model requests. The neutral form is that of the Anthropic Messages API: content blocks are JSON and travel
/// unread, so that a block type Postern does not know survives the round trip through the log.
package protocol ModelProvider: Sendable {
    /// Sends one request and returns the whole answer. Previews of it go to `preview`, in order, while it streams; the provider
    /// waits for `preview` to return, which is the back-pressure. Cancelling the task closes the connection at once.
    func respond(to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void) async throws(ModelError) -> ModelResponse

    /// What the provider serves, as objects of `GET /v1/models` (contract section 2.12).
    func models() async throws(ModelError) -> [JSONObject]

    /// What the service says of a model's size. What it does not say stays nil; an error is for a service that does not answer.
    func limits(of model: String) async throws(ModelError) -> ModelLimits

    /// Whether the model takes instructions in the middle of a conversation, as `system.message` brings them.
    func acceptsSystemMessages(_ model: String) async throws(ModelError) -> Bool
}

extension ModelProvider {
    package func limits(of model: String) async throws(ModelError) -> ModelLimits { ModelLimits() }

    package func acceptsSystemMessages(_ model: String) async throws(ModelError) -> Bool { true }
}

package struct ModelRequest: Sendable, Equatable {
    package var model: String
    /// Upper bound of the answer, in tokens; nil leaves it to the provider.
    package var maximumTokens: Int?
    /// Text blocks of the system prompt, with cache breakpoints where the machine wants them.
    package var system: [JSON]
    /// Tool definitions: `name`, `description`, `input_schema`, perhaps `cache_control`.
    package var tools: [JSON]
    /// Messages (`{"role":…,"content":[…]}`), encoded once when they were appended. Each element holds one or more, joined with commas: a long
    /// history is spliced into the request and never read again.
    package var messages: [[UInt8]]
    /// `low` … `max`; nil leaves it to the model.
    package var effort: String?
    /// `standard` or `fast`; nil leaves it to the service.
    package var speed: String?
    /// Where the model may run; nil leaves it to the service. A provider that cannot ask for it refuses the request.
    package var inferenceGeo: String?

    package init(
        model: String, maximumTokens: Int?, system: [JSON] = [], tools: [JSON] = [], messages: [[UInt8]], effort: String? = nil, speed: String? = nil,
        inferenceGeo: String? = nil
    ) {
        self.model = model
        self.maximumTokens = maximumTokens
        self.system = system
        self.tools = tools
        self.messages = messages
        self.effort = effort
        self.speed = speed
        self.inferenceGeo = inferenceGeo
    }
}

/// A piece of an answer that is still on its way. `index` is the position of the content block in the answer.
package enum ModelPreview: Sendable, Equatable {
    /// A block of `type` (`text`, `thinking`, `tool_use`, …) begins.
    case blockStarted(index: Int, type: String)
    case text(index: Int, String)
}

package struct ModelResponse: Sendable, Equatable {
    /// The answer's content blocks, whole and as the provider sent them (thinking with signatures included).
    package var content: [JSON]
    /// `end_turn`, `tool_use`, `max_tokens`, `stop_sequence`, `pause_turn`, `refusal`, `model_context_window_exceeded`, or one not known yet.
    package var stopReason: String
    /// The `refusal` details, if any.
    package var stopDetails: JSON?
    package var usage: ModelUsage

    package init(content: [JSON], stopReason: String, stopDetails: JSON? = nil, usage: ModelUsage) {
        self.content = content
        self.stopReason = stopReason
        self.stopDetails = stopDetails
        self.usage = usage
    }
}

/// Tokens of one model request.
package struct ModelUsage: Sendable, Equatable {
    package var input = 0
    package var output = 0
    package var cacheRead = 0
    package var cacheCreation5m = 0
    package var cacheCreation1h = 0

    package init(input: Int = 0, output: Int = 0, cacheRead: Int = 0, cacheCreation5m: Int = 0, cacheCreation1h: Int = 0) {
        self.input = input
        self.output = output
        self.cacheRead = cacheRead
        self.cacheCreation5m = cacheCreation5m
        self.cacheCreation1h = cacheCreation1h
    }
}

/// Why a model request failed. The message is safe to show to a client: it names no credential.
package struct ModelError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// 529, or `overloaded_error` in the stream.
        case overloaded
        /// 429.
        case rateLimited
        /// 402, or `billing_error`.
        case billing
        /// 401 or 403: Postern's own key for the model is wrong.
        case authentication
        /// 400, 404, 422: the same request would fail again.
        case requestFailed
        /// The prompt is longer than the model's context window, or the request larger than the service takes (413).
        case contextTooLong
        /// No connection, a time-out, a 5xx, or a stream that broke off or made no sense.
        case unavailable
        /// The task was cancelled.
        case cancelled
    }

    package var kind: Kind
    package var message: String
    /// What the service asked to wait (`retry-after`, `retry-after-ms`), if it did.
    package var retryAfter: Duration?
    /// The model's context in tokens, where the refusal of something too long names it.
    package var contextTokens: Int?
    /// With ``Kind/requestFailed``: the service found fault with what the conversation holds (400, 422), not with a setting or with where it went.
    package var refusesContent: Bool

    package init(_ kind: Kind, _ message: String, retryAfter: Duration? = nil, contextTokens: Int? = nil, refusesContent: Bool = false) {
        self.kind = kind
        self.message = message
        self.retryAfter = retryAfter
        self.contextTokens = contextTokens
        self.refusesContent = refusesContent
    }

    /// Whether trying again may help. `x-should-retry` has been taken into account by the provider when it chose the kind.
    package var isRetryable: Bool {
        switch kind {
        case .overloaded, .rateLimited, .unavailable: true
        case .billing, .authentication, .requestFailed, .contextTooLong, .cancelled: false
        }
    }

    package var description: String { message }
}
