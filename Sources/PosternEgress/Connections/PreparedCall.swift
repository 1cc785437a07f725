import NIOCore
import PosternHTTP
import PosternPolicy

/// A request that has been decided and filled in: what is left is to send it.
struct PreparedCall: Sendable {
    enum Body: Sendable {
        case none
        /// Read to its end and checked.
        case whole(ByteBuffer)
        /// Read and checked as it is sent, behind what has been read of it already.
        case stream(BodyFraming, begun: GatheredBody)
    }

    /// A body up to this size is looked at before anything goes upstream.
    static let prefetched = 65_536
    /// One that does not say its length is waited for so long at most.
    static let patience = TimeAmount.seconds(2)

    let decision: NetworkDecision
    /// What the policy was asked; it is asked again when the policy becomes narrower.
    let question: NetworkRequest
    let body: Body
    /// Names of the secrets that go out with it.
    let usedSecrets: [String]
    /// Those of them that stand in the body.
    private let bodySecrets: [String]
    private let head: RequestHead
    private let request: ForwardedRequest
    private let masks: Bool

    /// Decides on `request`, and takes its body from `client` where that is needed first. Throws `CallRefusal`.
    init(_ request: ForwardedRequest, _ context: SessionContext, client: inout MessageReader) async throws {
        let destination = request.destination
        var secrets: RequestSecrets
        do throws(RequestSecrets.Misplaced) {
            secrets = try RequestSecrets(request, secrets: context.secrets)
        } catch {
            throw CallRefusal(error, destination, rule: nil)
        }
        var content = NetworkRequest.Content(method: request.head.method, path: request.path.path, encrypted: request.encrypted)
        content.credentials = Set(secrets.used + secrets.inBody.map(\.binding.name))
        content.foreignCredential = secrets.foreignCredential
        question = NetworkRequest(host: destination.host, port: destination.port, content: content)
        do throws(CallRefusal) {
            decision = try context.allow(question)
        } catch {
            var refusal = Self.isAnsweredByCredential(question, request.head, context) ? error.asking : error
            refusal.report.credentials = secrets.used
            throw refusal
        }
        if let field = request.head.fields.methodOverride, context.policy.looksAtMethods(destination.host, port: destination.port) {
            throw CallRefusal(
                403,
                EgressRefusal(
                    kind: .policy, destination: destination, rule: decision.rule,
                    reason: "header \(printable(field.name)) would choose another method than \(request.head.method)",
                    remedy: "send the request with the method that is meant"))
        }
        if let upgrade = request.upgrade, !decision.upgrades.contains(upgrade) || !request.head.body.isEmpty {
            let remedy = "an operator can name it below \"upgrades\" of rule \"\(decision.rule ?? "")\""
            throw CallRefusal(
                403,
                EgressRefusal(
                    kind: .policy, destination: destination, rule: decision.rule, reason: "switching to \"\(printable(upgrade))\" is not allowed",
                    remedy: remedy))
        }
        if request.expectsContinue { try await client.stream.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
        let rule = decision.rule
        do {
            (body, bodySecrets) = try await Self.readBody(request, secrets, context, &client)
        } catch let misplaced as RequestSecrets.Misplaced {
            throw CallRefusal(misplaced, destination, rule: rule)
        } catch let blocked as RedactionBlocked {
            throw CallRefusal(blocked, destination, rule: rule)
        } catch let refusal as HTTPRefusal {
            throw CallRefusal(refusal, destination)
        }
        usedSecrets = secrets.used + bodySecrets.filter { !secrets.used.contains($0) }
        // That a secret may stand in the body does not mean that it did.
        if let missing = decision.credentials.subtracting(usedSecrets).sorted().first {
            throw CallRefusal(
                403,
                EgressRefusal(
                    kind: .policy, destination: destination, rule: decision.rule,
                    reason: "rule \"\(decision.rule ?? "")\" allows requests with the credential \"\(missing)\" only",
                    remedy: "send its placeholder where the policy binds it"))
        }
        head = secrets.head
        self.request = request
        masks = !context.maskRules.isEmpty
    }

    /// Whether nothing but a credential of the session is missing, and one that goes as `Basic`: git and others send such a one only where they
    /// were asked for it.
    private static func isAnsweredByCredential(_ question: NetworkRequest, _ head: RequestHead, _ context: SessionContext) -> Bool {
        guard question.content?.credentials.isEmpty == true, head.fields.named("authorization").isEmpty else { return false }
        return context.secrets.contains { secret in
            let binding = secret.binding
            guard binding.header == "authorization", binding.schemes.contains(.basic), binding.covers(question.host, port: question.port) else {
                return false
            }
            var answered = question
            answered.content?.credentials = [binding.name]
            return context.policy.decide(answered).verdict == .allow
        }
    }

    /// Whether `secrets`, as they are bound now, would fill the request as it was filled.
    func holds(under secrets: [BoundSecret]) -> Bool {
        if usedSecrets.isEmpty { return true }
        guard let again = try? RequestSecrets(request, secrets: secrets) else { return false }
        return again.head == head && bodySecrets.allSatisfy { name in again.inBody.contains { $0.binding.name == name } }
    }

    private static func readBody(
        _ request: ForwardedRequest, _ secrets: RequestSecrets, _ context: SessionContext, _ client: inout MessageReader
    ) async throws -> (Body, [String]) {
        let framing = request.head.body
        if framing.isEmpty { return (.none, []) }
        let isFilled = !secrets.inBody.isEmpty
        if !isFilled {
            switch framing {
            case .length(let length) where length <= prefetched: break
            case .chunked:
                let gathered = try await client.gather(framing, most: prefetched, within: patience)
                guard gathered.isWhole else { return (.stream(framing, begun: gathered), []) }
                return (.whole(try checked(gathered.bytes, context)), [])
            default: return (.stream(framing, begun: GatheredBody(framing)), [])
            }
        }
        var reader = BodyReader(framing)
        var whole = ByteBuffer()
        while let part = try await client.part(of: &reader, within: context.idleTime) {
            whole.writeImmutableBuffer(part)
            guard whole.readableBytes <= BodySecrets.maximumBytes else {
                throw HTTPRefusal(413, "a body that is to be filled with a secret has more than \(BodySecrets.maximumBytes) bytes")
            }
        }
        if isFilled {
            try checkUnfilled(whole, secrets.inBody, context)
            let (filled, names) = try BodySecrets.fill(Array(whole.readableBytesView), secrets: secrets.inBody)
            // Placeholders of other secrets have no place in it either.
            try check(filled, context.guardRules)
            return (.whole(ByteBuffer(bytes: filled)), names)
        }
        return (.whole(try checked(whole, context)), [])
    }

    /// A whole body as it may leave.
    private static func checked(_ body: ByteBuffer, _ context: SessionContext) throws -> ByteBuffer {
        try check(Array(body.readableBytesView), context.guardRules)
        return try redacted(body, context, keepsLength: false)
    }

    private static func redacted(_ body: ByteBuffer, _ context: SessionContext, keepsLength: Bool) throws -> ByteBuffer {
        var redaction = BodyRedaction(context.redaction, keepsLength: keepsLength)
        defer { context.report(redaction) }
        var output = try redaction.feed(body)
        output.writeImmutableBuffer(try redaction.finish())
        return output
    }

    /// A body that is to be filled with secrets is looked at before, without the placeholders that stand where they may: they look as secrets do.
    /// What would be replaced in it is refused, since the rest of it is the service's own document.
    private static func checkUnfilled(_ body: ByteBuffer, _ secrets: [BoundSecret], _ context: SessionContext) throws {
        guard context.redaction != nil else { return }
        let needles = secrets.enumerated().map { index, secret in
            let placeholder = Array(secret.placeholder.utf8)
            return NeedleScanner.Needle(
                bytes: placeholder, replacement: [UInt8](repeating: UInt8(ascii: "-"), count: placeholder.count), owner: index)
        }
        var scanner = NeedleScanner(NeedleScanner.Automaton(needles))
        let bare = scanner.feed(body.readableBytesView) + scanner.finish()
        _ = try redacted(ByteBuffer(bytes: bare), context, keepsLength: true)
    }

    private static func check(_ body: [UInt8], _ rules: BodyGuard.Rules) throws(RequestSecrets.Misplaced) {
        var watch = BodyGuard(rules)
        _ = try watch.feed(ByteBuffer(bytes: body))
    }

    /// The head as it goes upstream: with the secrets, without what is between two hops, with the framing of `body`.
    var wireHead: [UInt8] {
        var head = head
        head.fields.remove(["content-length"])
        if masks {
            // What is compressed or cut into ranges cannot be masked.
            head.fields.remove(["accept-encoding", "range", "if-range"])
            head.fields.append("Accept-Encoding", "identity")
            head.fields.remove([ForwardedRequest.webSocketExtensions])
        }
        switch body {
        case .none:
            if request.head.body == .length(0) { head.fields.append("Content-Length", "0") }
        case .whole(let bytes): head.fields.append("Content-Length", String(bytes.readableBytes))
        case .stream(.length(let length), _): head.fields.append("Content-Length", String(length))
        case .stream: head.fields.append("Transfer-Encoding", "chunked")
        }
        if let upgrade = request.upgrade {
            head.fields.append("Connection", "Upgrade")
            head.fields.append("Upgrade", upgrade)
        }
        return head.encoded(target: request.target)
    }
}
