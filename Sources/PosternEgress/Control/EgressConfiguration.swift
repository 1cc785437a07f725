import PosternGate
import PosternJSON
import PosternPolicy

/// All that a proxy process needs to know about one session. It travels over the control socket only.
package struct EgressConfiguration: Sendable {
    package var session: String
    package var token: ProxyToken
    package var policy: NetworkPolicy
    /// Digest of the whole policy in force, for the records.
    package var policyDigest = ""
    package var secrets: [BoundSecret] = []
    package var forwards: [ForwardConfiguration] = []
    /// The audit's key for digests of statements; fresh per session is enough. Empty only where there is no PostgreSQL forward.
    package var digestKey: [UInt8] = []
    /// A corporate proxy through which everything goes; `nil` for none.
    package var parentProxy: Authority?
    /// `user:password` for the parent proxy (Basic).
    package var parentCredential: SecretValue?
    /// PEM certificates that upstream servers may chain to beside the system's.
    package var extraRoots: String?
    /// What proxies of the session have sent before.
    package var used = BytesUsed()
    package var limits = Limits()
    /// What is looked for in bodies of requests; `nil` for nothing but the session's secrets.
    package var redaction: RedactionRules?
    /// Keys the digests that take the place of what is found.
    package var redactionKey: [UInt8] = []
    /// See `EgressCommand.learn`.
    package var learns = false

    /// Bounds that hold one session's memory and time down.
    package struct Limits: Sendable, Hashable {
        /// Connections from the sandbox at one time.
        package var connections = 256
        /// Milliseconds for a handshake, a head, and a dial.
        package var handshakeMilliseconds = 15_000
        /// Milliseconds without a byte in either direction.
        package var idleMilliseconds = 300_000
        /// Milliseconds that a call waits for an approval.
        package var approvalMilliseconds = 600_000
        /// Milliseconds for which a kept connection to a server serves a request that must not be sent a second time: no server in use closes
        /// one sooner.
        package var freshMilliseconds = 2_000

        package init() {}
    }

    package init(session: String, token: ProxyToken, policy: NetworkPolicy) {
        self.session = session
        self.token = token
        self.policy = policy
    }

    package var json: JSON {
        var object: JSONObject = [
            "session": .string(session), "token": .string(token.text), "policy": policy.json, "policy_digest": .string(policyDigest),
            "used": used.json,
            "secrets": .array(secrets.map(\.json)),
            "limits": [
                "connections": JSON(limits.connections), "handshake_ms": JSON(limits.handshakeMilliseconds), "idle_ms": JSON(limits.idleMilliseconds),
                "approval_ms": JSON(limits.approvalMilliseconds), "fresh_ms": JSON(limits.freshMilliseconds),
            ],
        ]
        if !forwards.isEmpty { object["forwards"] = .array(forwards.map(\.json)) }
        if !digestKey.isEmpty { object["digest_key"] = .string(String(decoding: Base64.encode(digestKey), as: UTF8.self)) }
        if let parentProxy { object["parent_proxy"] = .string(parentProxy.description) }
        if let parentCredential { object["parent_credential"] = .string(String(decoding: parentCredential.bytes, as: UTF8.self)) }
        if let extraRoots { object["extra_roots"] = .string(extraRoots) }
        if learns { object["learns"] = true }
        if let redaction { object["redaction"] = redaction.json }
        if !redactionKey.isEmpty { object["redaction_key"] = .string(String(decoding: Base64.encode(redactionKey), as: UTF8.self)) }
        return .object(object)
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        session = try fields.required("session")
        guard let token = ProxyToken(try fields.required("token")) else {
            throw PolicyValueError(path: ["token"], value: "<secret>", rule: "must be 16 to 128 letters, digits, '-' or '_'")
        }
        self.token = token
        do throws(PolicyValueError) {
            policy = try NetworkPolicy(json: fields.member("policy") ?? .null)
        } catch {
            throw error.below("policy")
        }
        policyDigest = try fields.string("policy_digest") ?? ""
        do throws(PolicyValueError) {
            used = try BytesUsed(json: fields.member("used") ?? [:])
        } catch {
            throw error.below("used")
        }
        secrets = try fields.list("secrets") { (json: JSON) throws(PolicyValueError) in try BoundSecret(json: json) }
        forwards = try fields.list("forwards") { (json: JSON) throws(PolicyValueError) in try ForwardConfiguration(json: json) }
        digestKey = try fields.string("digest_key").flatMap { Base64.decode($0.utf8) } ?? []
        guard !digestKey.isEmpty || !forwards.contains(where: \.isPostgres) else {
            throw PolicyValueError(path: ["digest_key"], value: "<secret>", rule: "must be given in base64 where there is a PostgreSQL forward")
        }
        if let text = try fields.string("parent_proxy") { parentProxy = try Authority(text) }
        parentCredential = try fields.string("parent_credential").map { SecretValue($0) }
        extraRoots = try fields.string("extra_roots")
        learns = try fields.bool("learns") ?? false
        if let json = fields.member("redaction") { redaction = try RedactionRules(json: json) }
        redactionKey = try fields.string("redaction_key").flatMap { Base64.decode($0.utf8) } ?? []
        if let json = fields.member("limits") { limits = try Limits(json: json) }
        try checkSecrets()
    }

    /// A secret inside another one could not be masked without leaving the rest of the other.
    private func checkSecrets() throws(PolicyValueError) {
        for (index, one) in secrets.enumerated() {
            for (other, two) in secrets.enumerated() where index != other {
                if one.binding.name == two.binding.name || Bytes.contains(two.value.bytes, one.value.bytes) {
                    throw PolicyValueError(
                        path: ["secrets", String(index)], value: one.binding.name,
                        rule: "has the name of \"\(two.binding.name)\" or is part of its value", remedy: "name each secret once")
                }
            }
        }
    }
}

extension EgressConfiguration.Limits {
    init(json: JSON) throws(PolicyValueError) {
        self.init()
        var fields = try FieldReader(json)
        connections = try fields.int("connections", in: 1...10_000) ?? connections
        handshakeMilliseconds = try fields.int("handshake_ms", in: 1...600_000) ?? handshakeMilliseconds
        idleMilliseconds = try fields.int("idle_ms", in: 1...86_400_000) ?? idleMilliseconds
        approvalMilliseconds = try fields.int("approval_ms", in: 1...86_400_000) ?? approvalMilliseconds
        freshMilliseconds = try fields.int("fresh_ms", in: 0...600_000) ?? freshMilliseconds
        try fields.finish()
    }
}
