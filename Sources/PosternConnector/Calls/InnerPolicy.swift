import NIOCore
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// The policy of the route, held against the requests of a connection.
extension InnerConnection {
    /// What becomes of a connection whose request was answered here.
    struct Refused {
        var reader: MessageReader?
    }

    /// Holds the request against the policy of the route, if it has one. `nil` where it passes; what was judged is noted then.
    func judge(_ reader: inout MessageReader, _ accepted: inout Accepted, _ progress: CallProgress) async throws(CallError) -> Refused? {
        guard let routeGuard = accepted.runtime.routeGuard else { return nil }
        let request = accepted.request
        do throws(CallError) {
            accepted.held = try await hold(&reader, accepted, routeGuard)
        } catch {
            try await server.audit?.refused(accepted.record, id: accepted.record.id, route: host.route, error)
            throw error
        }
        guard let held = accepted.held else { return nil }
        let judgement = judge(held, request, routeGuard)
        if let judgement {
            accepted.record.judged = .init(
                messages: messages(judgement.body, progress.now.content), rule: judgement.refusal?.rule,
                isDryRun: routeGuard.policy.mode == .dryRun)
        }
        live.runs(.init(runtime: accepted.runtime, id: request.renewalID, body: judgement?.body))
        guard let judgement, let refusal = judgement.refusal else { return nil }
        let answer = PolicyAnswer(refusal, to: judgement.body, index: judgement.index)
        guard routeGuard.policy.mode == .enforce else {
            server.observe(.wouldRefuse(route: host.route, refusal))
            return nil
        }
        server.observe(.refused(route: host.route, .policy(refusal)))
        try await server.audit?.refused(accepted.record, id: accepted.record.id, route: host.route, .policy(refusal))
        let stays = request.keepsAlive && held.rest.isDone
        do {
            let bytes = ByteBuffer(bytes: answer.encoded(keepsAlive: stays))
            try await WriteWatch.write(bytes, to: stream, within: accepted.runtime.route.limits.take)
        } catch is TimedOut {
            throw .callerStalled("the caller did not take the refusal of its request in time (limits.take)")
        } catch {
            throw .callerGone("\(error)")
        }
        return Refused(reader: stays ? reader : nil)
    }

    /// The body up to the policy's bound. Nothing has gone upstream before that.
    private func hold(_ reader: inout MessageReader, _ accepted: Accepted, _ routeGuard: RouteGuard) async throws(CallError) -> HeldBody {
        let request = accepted.request
        let bound = routeGuard.policy.bodyBound(of: identity)
        let isTooLong = if case .length(let length) = request.framing { length > bound.bytes } else { false }
        do {
            if request.expectsContinue, !isTooLong || routeGuard.policy.mode == .dryRun {
                let bytes = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")
                try await WriteWatch.write(bytes, to: stream, within: accepted.runtime.route.limits.take)
            }
            return try await HeldBody.read(&reader, request.framing, for: routeGuard, bound: bound, within: accepted.runtime.route.limits.head)
        } catch {
            throw CallError(reading: error)
        }
    }

    /// What the policy says to the request; `nil` where there is nothing to judge.
    private func judge(_ held: HeldBody, _ request: RouteRequest, _ routeGuard: RouteGuard) -> RouteGuard.Judgement? {
        if let refusal = held.refusal { return .refused(refusal) }
        if request.method == "POST" {
            let seconds = Double(NIODeadline.now().uptimeNanoseconds) / 1e9
            return routeGuard.judge(Array(held.bytes.readableBytesView), request.fields, from: identity, now: seconds)
        }
        guard ["GET", "HEAD", "OPTIONS", "DELETE"].contains(request.method) else {
            return .refused(
                .init(.method, "http.method", "the method \(request.method) carries no message of MCP", remedy: "send messages by POST"))
        }
        guard held.bytes.readableBytes == 0 else {
            return .refused(.malformed("http.method", "a \(request.method) has no body", "send messages by POST"))
        }
        return nil
    }

    private func messages(_ body: RPCBody?, _ content: CallContent?) -> [CallRecord.Judged.Message] {
        let messages = body?.messages ?? []
        return content?.inputs(messages) ?? messages.map { .init(method: $0.method, tool: $0.tool) }
    }

    func screening(_ routeGuard: RouteGuard, _ content: CallContent?) -> Exchange.Screening {
        let (route, observe) = (host.route, server.observe)
        return .init(screen: AnswerScreen(policy: routeGuard.policy, identity: identity)) { screened in
            content?.outputs(screened.results)
            for tool in routeGuard.saw(screened.seen) { observe(.toolChanged(route: route, tool: tool)) }
        }
    }
}
