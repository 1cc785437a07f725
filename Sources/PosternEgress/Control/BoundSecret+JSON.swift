import PosternJSON
import PosternPolicy

/// A secret on its way to the proxy that uses it.
extension BoundSecret {
    var json: JSON {
        [
            "binding": binding.json, "value": .string(String(decoding: value.bytes, as: UTF8.self)), "placeholder": .string(placeholder),
        ]
    }

    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        let binding = try SecretBinding(json: fields.member("binding") ?? .null)
        let value = SecretValue(try fields.required("value"))
        guard let secret = BoundSecret(binding: binding, value: value, placeholder: try fields.required("placeholder")) else {
            throw PolicyValueError(
                path: ["placeholder"], value: binding.name, rule: "the placeholder is not of the secret's shape, or the secret has no printable form")
        }
        self = secret
    }
}
