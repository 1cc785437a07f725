import PosternGate
import PosternJSON
import PosternPolicy

/// What the worker tells a proxy process.
package enum EgressCommand: Sendable {
    /// Begin to serve a session.
    case configure(EgressConfiguration)
    /// Serve this listening socket, which was made inside the session's network namespace. The proxy owns the descriptor.
    case listen(session: String, Listener, descriptor: Int32)
    /// The report with this id is on the disk: what it announced may happen.
    case recorded(id: Int)
    /// The answer to an `ask`. `bytes` more are granted; `nil` refuses.
    case answer(id: Int, bytes: Int?)
    /// The session's policy from now on. What it no longer allows is cut.
    case narrow(session: String, NetworkPolicy, digest: String)
    /// Bytes of the present day that the session has used.
    case day(session: String, used: Int)
    /// Where the session's secrets may go from now on; one that is not named is withdrawn. Sent before the `narrow` that it belongs to.
    case secrets(session: String, bindings: [SecretBinding])
    /// The value of a secret from now on. It goes where the one before may go, never further; the one before stays masked.
    case rotate(session: String, BoundSecret)
    /// The secret has no value until `rotate` gives it one.
    case suspend(session: String, secret: String)
    /// The forwards that the policy in force still has, with its bounds; others are cut.
    case forwards(session: String, keep: [Forward])
    /// The password of a forward from now on; `nil` withdraws it.
    case password(session: String, forward: String, SecretValue?)
    /// Stop reading from and writing to every connection of the session until `resume`; new ones wait. Answered by `paused`.
    case pause(session: String)
    case resume(session: String)
    /// What is looked for in bodies of requests that begin from now on.
    case redaction(session: String, RedactionRules)
    /// Read what no rule allows as far as its request, and refuse it then, so that the refusal says what was asked for. Nothing more leaves.
    case learn(session: String, Bool)
    /// End the session and cut its connections.
    case stop(session: String)

    /// What a listening socket serves.
    package enum Listener: Sendable, Hashable {
        /// HTTP proxy and SOCKS5.
        case proxy
        /// The synthetic resolver: a UDP socket, and a TCP listener.
        case datagramNames, streamNames
        /// Connections of programs that know no proxy, to port 80 and 443 of any loopback address.
        case http, https
        /// The forward of this name.
        case forward(String)
    }
}

extension EgressCommand {
    package var message: (body: JSON, descriptors: [Int32]) {
        switch self {
        case .configure(let configuration): (["type": "configure", "configuration": configuration.json], [])
        case .listen(let session, let listener, let descriptor):
            (["type": "listen", "session": .string(session), "listener": .string(listener.text)], [descriptor])
        case .recorded(let id): (["type": "recorded", "id": JSON(id)], [])
        case .answer(let id, let bytes): (["type": "answer", "id": JSON(id), "bytes": bytes.map { JSON($0) } ?? .null], [])
        case .narrow(let session, let policy, let digest):
            (["type": "narrow", "session": .string(session), "policy": policy.json, "policy_digest": .string(digest)], [])
        case .day(let session, let used): (["type": "day", "session": .string(session), "used": JSON(used)], [])
        case .secrets(let session, let bindings):
            (["type": "secrets", "session": .string(session), "bindings": .array(bindings.map(\.json))], [])
        case .rotate(let session, let secret): (["type": "rotate", "session": .string(session), "secret": secret.json], [])
        case .suspend(let session, let name): (["type": "suspend", "session": .string(session), "secret": .string(name)], [])
        case .forwards(let session, let forwards):
            (["type": "forwards", "session": .string(session), "keep": .array(forwards.map(\.json))], [])
        case .password(let session, let forward, let value):
            (["type": "password", "session": .string(session), "forward": .string(forward), "value": JSON(value?.text)], [])
        case .pause(let session): (["type": "pause", "session": .string(session)], [])
        case .resume(let session): (["type": "resume", "session": .string(session)], [])
        case .redaction(let session, let rules): (["type": "redaction", "session": .string(session), "rules": rules.json], [])
        case .learn(let session, let learns): (["type": "learn", "session": .string(session), "learns": .bool(learns)], [])
        case .stop(let session): (["type": "stop", "session": .string(session)], [])
        }
    }

    package init(_ json: JSON, descriptors: [Int32]) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        let type = try fields.required("type")
        switch type {
        case "configure":
            do throws(PolicyValueError) {
                self = .configure(try EgressConfiguration(json: fields.member("configuration") ?? .null))
            } catch {
                throw error.below("configuration")
            }
        case "listen":
            guard descriptors.count == 1 else {
                throw PolicyValueError(path: ["descriptors"], value: "\(descriptors.count)", rule: "a listener is one descriptor")
            }
            let name = try fields.required("listener")
            guard let listener = Listener(name) else { throw PolicyValueError(path: ["listener"], value: name, rule: "is no kind of listener") }
            self = .listen(session: try fields.required("session"), listener, descriptor: descriptors[0])
        case "recorded": self = .recorded(id: try fields.int("id", in: 0...Int.max) ?? 0)
        case "answer": self = .answer(id: try fields.int("id", in: 0...Int.max) ?? 0, bytes: try fields.int("bytes", in: 0...Int.max))
        case "narrow":
            do throws(PolicyValueError) {
                self = .narrow(
                    session: try fields.required("session"), try NetworkPolicy(json: fields.member("policy") ?? .null),
                    digest: try fields.string("policy_digest") ?? "")
            } catch {
                throw error.below("policy")
            }
        case "day": self = .day(session: try fields.required("session"), used: try fields.int("used", in: 0...Int.max) ?? 0)
        case "secrets":
            self = .secrets(
                session: try fields.required("session"),
                bindings: try fields.list("bindings") { (json: JSON) throws(PolicyValueError) in try SecretBinding(json: json) })
        case "rotate":
            let session = try fields.required("session")
            do throws(PolicyValueError) {
                self = .rotate(session: session, try BoundSecret(json: fields.member("secret") ?? .null))
            } catch {
                throw error.below("secret")
            }
        case "suspend": self = .suspend(session: try fields.required("session"), secret: try fields.required("secret"))
        case "forwards":
            self = .forwards(
                session: try fields.required("session"),
                keep: try fields.list("keep") { (json: JSON) throws(PolicyValueError) in try Forward(json: json) })
        case "password":
            self = .password(
                session: try fields.required("session"), forward: try fields.required("forward"),
                fields.member("value")?.string.map { SecretValue($0) })
        case "pause": self = .pause(session: try fields.required("session"))
        case "resume": self = .resume(session: try fields.required("session"))
        case "redaction":
            self = .redaction(session: try fields.required("session"), try RedactionRules(json: fields.member("rules") ?? [:]))
        case "learn": self = .learn(session: try fields.required("session"), try fields.bool("learns") ?? false)
        case "stop": self = .stop(session: try fields.required("session"))
        default: throw PolicyValueError(path: ["type"], value: type, rule: "is no command of the egress proxy")
        }
    }
}

extension EgressCommand.Listener {
    private static let forwardPrefix = "forward:"

    package var text: String {
        switch self {
        case .proxy: "proxy"
        case .datagramNames: "dns_udp"
        case .streamNames: "dns_tcp"
        case .http: "http"
        case .https: "https"
        case .forward(let name): Self.forwardPrefix + name
        }
    }

    package init?(_ text: String) {
        switch text {
        case "proxy": self = .proxy
        case "dns_udp": self = .datagramNames
        case "dns_tcp": self = .streamNames
        case "http": self = .http
        case "https": self = .https
        default:
            guard text.hasPrefix(Self.forwardPrefix), text != Self.forwardPrefix else { return nil }
            self = .forward(String(text.dropFirst(Self.forwardPrefix.count)))
        }
    }
}
