import PosternJSON

/// `model` of an agent (contract section 3.1): a string, or an object. Answers always show the object, with `effort` filled in.
package struct ModelParams: Sendable, Equatable {
    /// What the Messages API takes.
    package static let geos = ["global", "us"]
    package static let efforts = ["low", "medium", "high", "xhigh", "max"]
    /// What a model works with that was not told otherwise.
    package static let defaultEffort = "high"

    package var id: String
    package var effort: String?
    package var speed: String?
    package var inferenceGeo: String?

    package init(_ json: JSON, at path: WirePath) throws(APIError) {
        if let id = json.string {
            guard !id.isEmpty else { throw .invalid("\(path.dotted): value is required") }
            try Limits.check(id, at: path, maximum: 256)
            self.id = id
            return
        }
        guard json.object != nil else {
            throw .invalid("Failed to parse request: \(path.bracketed): expected string or object, got \(json.kind)")
        }
        let object = try WireObject(json, at: path, allowing: ["id", "effort", "speed", "inference_geo"])
        id = try object.requiredString("id", maximum: 256)
        speed = try object.choice("speed", ["standard", "fast"])
        inferenceGeo = try object.choice("inference_geo", Self.geos)
        switch object.value("effort") {
        case nil: break
        case .string(let text)?: effort = try Self.effort(text, at: path.key("effort"))
        case let value?:
            let wrapped = try WireObject(value, at: path.key("effort"), allowing: ["type"])
            effort = try Self.effort(try wrapped.requiredString("type"), at: path.key("effort"))
        }
    }

    private static func effort(_ text: String, at path: WirePath) throws(APIError) -> String {
        guard efforts.contains(text) else { throw WireObject.notAChoice(text, at: path, efforts) }
        return text
    }

    /// The object form. A left-out effort keeps that of `stored`, everything else that is left out goes back to its default.
    package func resolved(over stored: JSON? = nil) -> JSON {
        let effort = effort ?? stored?["effort"]?["type"]?.string ?? Self.defaultEffort
        var model: JSONObject = ["id": .string(id), "speed": .string(speed ?? "standard"), "effort": ["type": .string(effort)]]
        if let inferenceGeo { model["inference_geo"] = .string(inferenceGeo) }
        return .object(model)
    }
}
