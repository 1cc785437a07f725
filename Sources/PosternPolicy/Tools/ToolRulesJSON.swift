import PosternJSON

extension ToolRules {
    package init(json: JSON) throws(PolicyValueError) {
        guard var object = json.object else { throw PolicyValueError(value: json.text, rule: "must be an object, not \(json.kind)") }
        let outer = object["ceilings"]?.array ?? []
        object["ceilings"] = nil
        list = try List(json: .object(object))
        for (index, json) in outer.enumerated() {
            do throws(PolicyValueError) {
                ceilings.append(try List(json: json))
            } catch {
                throw error.below("ceilings", String(index))
            }
        }
    }

    package var json: JSON {
        guard var object = list.json.object, !ceilings.isEmpty else { return list.json }
        object["ceilings"] = .array(ceilings.map(\.json))
        return .object(object)
    }
}

extension ToolRules.List {
    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        allow = try fields.list("allow", TextGlob.init(json:))
        deny = try fields.list("deny", TextGlob.init(json:))
        ask = try fields.list("ask", ToolQuestion.init(json:))
        try fields.finish()
    }

    var json: JSON {
        ["allow": .array(allow.map(\.json)), "deny": .array(deny.map(\.json)), "ask": .array(ask.map(\.json))]
    }
}

extension ToolQuestion {
    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        tools = try fields.list("tool", TextGlob.init(json:))
        reason = try fields.string("reason")
        when = [:]
        for (key, value) in fields.member("when")?.object ?? [:] {
            do throws(PolicyValueError) {
                var globs: [TextGlob] = []
                for element in value.array ?? [] { globs.append(try TextGlob(json: element)) }
                when[try JSONPointer(key)] = globs
            } catch {
                throw error.below("when", key)
            }
        }
        try fields.finish()
    }

    var json: JSON {
        var object: JSONObject = ["tool": .array(tools.map(\.json))]
        if !when.isEmpty {
            let members = when.map { ($0.key.description, JSON.array($0.value.map(\.json))) }.sorted { $0.0 < $1.0 }
            object["when"] = .object(JSONObject(members))
        }
        object["reason"] = reason.map(JSON.string)
        return .object(object)
    }
}

extension TextGlob {
    package init(json: JSON) throws(PolicyValueError) { try self.init(try FieldReader.text(json)) }

    package var json: JSON { .string(description) }
}
