import NIOCore
import PosternAudit
import PosternGate
import PosternJSON
import Synchronization

/// What a call says, for its record: keyed digests of all of it, and the beginnings of arguments and results where the route asks for them.
final class CallContent: Sendable {
    struct Said: Sendable {
        /// Of the bodies; `nil` where no byte of one went.
        var request: AuditRecord.Digest?
        var answer: AuditRecord.Digest?
        var outputs: [AuditRecord.Content] = []
        var furtherOutputs = 0
    }

    /// Results of one answer that are told apart.
    static let mostOutputs = 64

    private let key: AuditKey
    private let rules: PayloadRules?
    private let settings: RouteAudit
    private let state: Mutex<State>

    private struct State {
        var request: AuditKey.Running
        var answer: AuditKey.Running
        var outputs: [AuditRecord.Content] = []
        var furtherOutputs = 0
        /// Bytes of payloads that are left for the record of the outcome.
        var left: Int
    }

    /// - Parameter rules: what payloads go through; without them none is kept.
    init(_ key: AuditKey, _ settings: RouteAudit, _ rules: PayloadRules?) {
        self.key = key
        self.settings = settings
        self.rules = rules
        state = Mutex(State(request: key.running(.input), answer: key.running(.output), left: settings.payloadBytes))
    }

    var now: Said {
        state.withLock { state in
            Said(
                request: state.request.bytes > 0 ? state.request.digest : nil, answer: state.answer.bytes > 0 ? state.answer.digest : nil,
                outputs: state.outputs, furtherOutputs: state.furtherOutputs)
        }
    }

    /// A part of the request's body has gone upstream.
    func sent(_ part: ByteBuffer) { part.withUnsafeReadableBytes { bytes in state.withLock { $0.request.update(bytes) } } }

    /// A part of the answer's body goes to the caller.
    func gave(_ part: ByteBuffer) { part.withUnsafeReadableBytes { bytes in state.withLock { $0.answer.update(bytes) } } }

    /// The messages of a request.
    func inputs(_ messages: [RPCMessage]) -> [CallRecord.Judged.Message] {
        var left = settings.payloadBytes
        return messages.map { message in
            let value = message.tool != nil ? message.arguments : message.params
            let input = value.isEmpty && message.tool == nil ? nil : content(.object(value), .input, settings.arguments, &left)
            return .init(method: message.method, tool: message.tool, input: input)
        }
    }

    /// Results and errors that stand in an answer.
    func outputs(_ values: [JSON]) {
        for value in values {
            var left = state.withLock { state in
                // Nobody makes a record too large by answering often.
                guard state.outputs.count < Self.mostOutputs else {
                    state.furtherOutputs += 1
                    return -1
                }
                return state.left
            }
            guard left >= 0 else { continue }
            let output = content(value, .output, settings.results, &left)
            state.withLock { state in
                state.outputs.append(output)
                state.left = left
            }
        }
    }

    private func content(_ value: JSON, _ purpose: AuditKey.Purpose, _ isKept: Bool, _ left: inout Int) -> AuditRecord.Content {
        let bytes = value.canonical
        let digest = AuditRecord.Digest(digest: key.digest(purpose, canonical: bytes), bytes: bytes.count)
        return AuditRecord.Content(digest, payload: isKept ? rules?.payload(bytes, &left) : nil)
    }
}

/// What payloads of a route go through before they are in the log: the gate's standard rules and the route's, with every value that the connector
/// injects.
struct PayloadRules: Sendable {
    private let program: RedactionProgram

    /// - Parameter secrets: values that are injected.
    init(_ answers: RouteAnswers, secrets: [KnownSecret], hashKey: [UInt8]) throws {
        let detectors = RedactionRules.standard.detectors.merging(answers.redact) { max($0, $1) }
        program = try RedactionProgram(RedactionRules(detectors: detectors), secrets: secrets, hashKey: hashKey)
    }

    /// - Parameter left: bytes that there is room for; what is taken is taken off.
    func payload(_ text: [UInt8], _ left: inout Int) -> AuditRecord.Payload {
        // All of it, and then the beginning: half of a secret is not found.
        let redacted = Redactor.redact(text, program)
        if let rule = redacted.blockedBy { return .withheld(by: rule) }
        var end = min(left, redacted.output.count)
        let isCut = end < redacted.output.count
        // Not inside of a character.
        while isCut, end > 0, redacted.output[end] & 0xC0 == 0x80 { end -= 1 }
        left -= end
        return .text(String(decoding: redacted.output[..<end], as: UTF8.self), isCut: isCut)
    }
}
