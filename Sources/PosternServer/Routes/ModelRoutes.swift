import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// `/v1/models` (contract section 2.12).
struct ModelRoutes {
    let models: @Sendable () async throws(ModelError) -> [JSONObject]

    var routes: [Route] {
        [
            Route(.get, "/v1/models", .client(.viewer), "List models", query: ["after_id", "before_id", "limit", "lifecycle[]"], list),
            Route(.get, "/v1/models/{model_id}", .client(.viewer), "Get a model") { call async throws(APIError) in
                let id = try call.parameter("model_id")
                guard let model = try await all().first(where: { $0["id"]?.string == id }) else { throw .notFound("model: \(id)") }
                return .json(model)
            },
        ]
    }

    private func list(_ call: Call) async throws(APIError) -> Answer {
        let lifecycles = call.query.list("lifecycle")
        for lifecycle in lifecycles where !["active", "deprecated", "retired"].contains(lifecycle) {
            throw .invalid("lifecycle: \"\(lifecycle)\" is not a valid value")
        }
        let limit = try call.query.limit(default: 20, maximum: 1000)
        var models = try await all().filter { model in
            let lifecycle = model["lifecycle"]?.string ?? "active"
            return lifecycles.isEmpty ? lifecycle != "retired" : lifecycles.contains(lifecycle)
        }
        if let after = call.query.string("after_id") { models = Array(models[try index(after, "after_id", models).advanced(by: 1)...]) }
        var hasMore = models.count > limit
        if let before = call.query.string("before_id") {
            models = Array(models[..<(try index(before, "before_id", models))])
            hasMore = models.count > limit
            models = models.suffix(limit)
        } else {
            models = Array(models.prefix(limit))
        }
        return .json(
            [
                "data": .array(models.map(JSON.object)), "has_more": .bool(hasMore), "first_id": models.first?["id"] ?? .null,
                "last_id": models.last?["id"] ?? .null,
            ] as JSONObject)
    }

    private func index(_ id: String, _ key: String, _ models: [JSONObject]) throws(APIError) -> Int {
        guard let index = models.firstIndex(where: { $0["id"]?.string == id }) else { throw .invalid("\(key): no model has the id \"\(id)\"") }
        return index
    }

    /// The provider's models, with the members that a client relies on filled in.
    private func all() async throws(APIError) -> [JSONObject] {
        do {
            return try await models().map { model in
                var model = model
                model["type"] = "model"
                if model["display_name"] == nil { model["display_name"] = model["id"] }
                if model["created_at"] == nil { model["created_at"] = .string(Timestamp(microseconds: 0).description) }
                if model["lifecycle"] == nil { model["lifecycle"] = "active" }
                return model
            }
        } catch {
            throw APIError(502, .api, "The model service did not answer: \(error.message)")
        }
    }
}
