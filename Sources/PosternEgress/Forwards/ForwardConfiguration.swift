import PosternJSON
import PosternPolicy

/// A forward as a proxy process is given it: the policy's value and what the worker has read for it. The process opens no files.
package struct ForwardConfiguration: Sendable {
    package var forward: Forward
    /// PEM certificates of the forward's `ca_file`; `nil` for the system's roots.
    package var authorities: String?
    /// The role's password, if the forward names a secret. `nil` while it has no value: connections are then refused.
    package var password: SecretValue?

    package init(_ forward: Forward, authorities: String? = nil, password: SecretValue? = nil) {
        self.forward = forward
        self.authorities = authorities
        self.password = password
    }

    var isPostgres: Bool { if case .postgres = forward.kind { true } else { false } }

    package var json: JSON {
        var object: JSONObject = ["forward": forward.json]
        object["authorities"] = authorities.map(JSON.string)
        object["password"] = password?.text.map(JSON.string)
        return .object(object)
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        do throws(PolicyValueError) {
            forward = try Forward(json: fields.member("forward") ?? .null)
        } catch {
            throw error.below("forward")
        }
        authorities = try fields.string("authorities")
        password = try fields.string("password").map { SecretValue($0) }
        try fields.finish()
    }
}
