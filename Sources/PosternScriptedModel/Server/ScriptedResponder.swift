import HTTPTypes
import Hummingbird
import NIOCore
import PosternJSON
import Synchronization

/// Maps requests to the interpreter and its plans to responses.
struct ScriptedResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    /// As at the real service: 32 MB.
    private static let maximumBody = 32 * 1024 * 1024

    private let failures = FailureCounter()
    private let memo = PrefixMemo()
    private let scripts = ScriptMemo()
    private let requests = RequestCounter()

    func respond(to request: Request, context: Context) async throws -> Response {
        let id = requests.next()
        do throws(ScriptedFault) {
            var request = request
            return try await route(&request, id: id)
        } catch {
            return failure(error, id: id, isOpenAI: request.uri.path.hasPrefix("/v1/chat/"))
        }
    }

    private func route(_ request: inout Request, id: String) async throws(ScriptedFault) -> Response {
        let path = request.uri.path
        switch (request.method, path) {
        case (.post, "/v1/messages"):
            try requireVersion(request)
            let conversation = try AnthropicRequest.read(try await body(of: &request), memo: memo)
            let plan = try ScriptInterpreter.plan(for: conversation, scripts: scripts)
            try fail(plan.failures)
            return plan.streams ? streamed(plan, AnthropicReplyStream(), request, id: id) : whole(plan, AnthropicReply.message, id: id)
        case (.post, "/v1/messages/count_tokens"):
            try requireVersion(request)
            let conversation = try AnthropicRequest.read(try await body(of: &request), countsOnly: true)
            return json(JSON.object(["input_tokens": JSON(conversation.inputTokens)]).encoded, id: id)
        case (.post, "/v1/chat/completions"):
            let read = try OpenAIRequest.read(try await body(of: &request))
            let plan = try ScriptInterpreter.plan(for: read.conversation, scripts: scripts)
            try fail(plan.failures)
            return plan.streams
                ? streamed(plan, OpenAIReplyStream(includesUsage: read.includesUsage), request, id: id)
                : whole(plan, OpenAIReply.completion, id: id)
        case (.get, "/v1/models"):
            return json(isAnthropic(request) ? ModelList.anthropicPage : ModelList.openAIPage, id: id)
        case (.get, _) where path.hasPrefix("/v1/models/"):
            let model = String(path.dropFirst("/v1/models/".count))
            guard !model.isEmpty, !model.contains("/"), model != ScriptedModel.missingModel else {
                throw ScriptedFault(status: 404, message: "model: \(model)")
            }
            return json((isAnthropic(request) ? ModelList.anthropic(model) : ModelList.openAI(model)).encoded, id: id)
        default:
            throw ScriptedFault(status: 404, message: "Not found: \(request.method.rawValue) \(path)")
        }
    }

    private func isAnthropic(_ request: Request) -> Bool { request.headers[Self.version] != nil }

    private func requireVersion(_ request: Request) throws(ScriptedFault) {
        guard isAnthropic(request) else { throw .invalid("anthropic-version: header is required") }
    }

    private func body(of request: inout Request) async throws(ScriptedFault) -> [UInt8] {
        do {
            return Array(buffer: try await request.collectBody(upTo: Self.maximumBody))
        } catch {
            throw ScriptedFault(status: 413, message: "Request exceeds the maximum size")
        }
    }

    private func fail(_ planned: [ScriptedPlan.Failure]) throws(ScriptedFault) {
        for failure in planned where failure.times.map({ failures.shouldFail(key: failure.key, times: $0) }) ?? true { throw failure.fault }
    }

    private func streamed(_ plan: ScriptedPlan, _ stream: any ReplyStream, _ request: Request, id: String) -> Response {
        let writer = ReplyWriter(plan: plan, stream: stream, requestID: id, request: request)
        var headers: HTTPFields = [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache", Self.requestID: id]
        if writer.closesConnection { headers[.connection] = "close" }
        return Response(status: .ok, headers: headers, body: writer.body())
    }

    /// Without a stream the waiting comes first, and what breaks a stream breaks the request.
    private func whole(
        _ plan: ScriptedPlan, _ encode: @escaping @Sendable (ScriptedPlan) -> [UInt8], id: String
    ) -> Response {
        let wait = plan.wait
        if case .errorMidStream(let type) = plan.ending {
            return failure(
                ScriptedFault(status: type == "overloaded_error" ? 529 : 500, type: type, message: "The script asks for an error."), id: id)
        }
        guard wait > 0 || plan.ending == .drop else { return json(encode(plan), id: id) }
        return Response(
            status: .ok, headers: [.contentType: "application/json", Self.requestID: id],
            body: ResponseBody { writer in
                try await Task.sleep(for: .milliseconds(wait))
                if plan.ending == .drop { throw ReplyWriter.Dropped() }
                try await writer.write(ByteBuffer(bytes: encode(plan)))
                try await writer.finish(nil)
            })
    }

    private func json(_ body: [UInt8], id: String) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json", Self.requestID: id], body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    private func failure(_ fault: ScriptedFault, id: String, isOpenAI: Bool = false) -> Response {
        var headers: HTTPFields = [
            .contentType: "application/json", Self.requestID: id, Self.shouldRetry: fault.shouldRetry ? "true" : "false",
        ]
        if let milliseconds = fault.retryAfter {
            headers[.retryAfter] = String((milliseconds + 999) / 1000)
            headers[Self.retryAfterMilliseconds] = String(milliseconds)
        }
        let body = isOpenAI ? OpenAIReply.error(fault) : AnthropicReply.error(type: fault.type, message: fault.message, requestID: id)
        return Response(
            status: .init(code: fault.status), headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    private static let version = HTTPField.Name.named("anthropic-version")
    private static let requestID = HTTPField.Name.named("request-id")
    private static let shouldRetry = HTTPField.Name.named("x-should-retry")
    private static let retryAfterMilliseconds = HTTPField.Name.named("retry-after-ms")
}

extension HTTPField.Name {
    /// For names that are written in this file and known to be tokens.
    fileprivate static func named(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
        return name
    }
}

/// Numbers the requests of a process.
private final class RequestCounter: Sendable {
    private let count = Atomic<Int>(0)

    func next() -> String { "req_scripted_" + String(count.wrappingAdd(1, ordering: .relaxed).newValue) }
}
