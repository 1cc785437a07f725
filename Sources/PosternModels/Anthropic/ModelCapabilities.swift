import PosternCore
import PosternJSON

/// What `GET /v1/models/{id}` says of a model, as far as requests depend on it. What it does not say is taken as in ``unknown``.
struct ModelCapabilities: Sendable, Equatable {
    var thinksAdaptively: Bool
    var acceptsEffort: Bool
    var limits = ModelLimits()

    /// Nothing is asked of an unknown model but what the session's agent asks.
    static let unknown = ModelCapabilities(thinksAdaptively: false, acceptsEffort: true)

    init(thinksAdaptively: Bool, acceptsEffort: Bool) {
        self.thinksAdaptively = thinksAdaptively
        self.acceptsEffort = acceptsEffort
    }

    init(_ model: JSONObject) {
        let capabilities = model["capabilities"]
        thinksAdaptively = capabilities?["thinking"]?["types"]?["adaptive"]?["supported"]?.bool ?? false
        acceptsEffort = capabilities?["effort"]?["supported"]?.bool ?? true
        limits = ModelLimits(listed: model, context: ["max_input_tokens"], output: ["max_tokens"])
    }
}
