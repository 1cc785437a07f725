import FoundationEssentials
import NIOCore
import PosternHTTP
import PosternJSON
import PosternTunnelLink
import PosternTunnelWire

/// One inner connection after its handshake: requests of one identity to one route, one after the other.
struct InnerConnection: Sendable {
    let stream: ByteStream
    let host: TunnelHost
    let route: ConnectorConfiguration.Route
    let headers: [HeaderInjection]
    let identity: RuntimeIdentity
    /// When the caller's certificate ends; no call begins after that.
    let expires: Date
    let dialer: UpstreamDialer
    /// `nil` where the route has no policy.
    let routeGuard: RouteGuard?
    let times: ConnectorTimes
    let now: @Sendable () -> Date
    let newID: @Sendable () -> String
    let audit: (any CallAudit)?
    /// Why no call is let through now.
    let registrations: @Sendable () -> RegistrationRefusal?
    let observe: @Sendable (ConnectorEvent) -> Void

    /// Returns when the connection has ended.
    func run() async {
        var reader: MessageReader? = MessageReader(stream)
        // No upstream connection serves two identities: it lives as long as this connection at most.
        var kept: UpstreamLink?
        while let next = reader {
            let progress = CallProgress()
            do {
                reader = try await serve(next, &kept, progress)
            } catch {
                observe(.refused(route: host.route, error))
                await fail(error, progress)
                reader = nil
            }
        }
        kept?.stream.close()
        await stream.closeGently()
    }

    /// One request; the reader behind it, `nil` where the connection is over.
    private func serve(_ reader: MessageReader, _ kept: inout UpstreamLink?, _ progress: CallProgress) async throws(CallError) -> MessageReader? {
        var reader = reader
        let next: RouteRequest?
        do throws(CallError) {
            next = try await nextRequest(&reader)
        } catch {
            // Who asks for another host, or in a form that has two readings, is known by now.
            if case .request = error {
                let record = CallRecord(id: newID(), identity: identity, route: host.route, upstream: route.upstream.description, method: "-")
                try await audit?.refused(record, id: record.id, route: host.route, error)
            }
            throw error
        }
        guard let request = next else { return nil }
        var record = CallRecord(
            id: newID(), identity: identity, route: host.route, upstream: route.upstream.description, method: request.method)
        var held: HeldBody?
        defer { if let held { routeGuard?.release(held.bytes.readableBytes) } }
        do throws(CallError) {
            try decide()
            if let routeGuard { held = try await hold(&reader, request, routeGuard) }
        } catch {
            try await audit?.refused(record, id: record.id, route: host.route, error)
            throw error
        }
        if let routeGuard, let held, let refusal = judge(held, request, routeGuard, &record) {
            guard routeGuard.policy.mode == .dryRun else {
                observe(.refused(route: host.route, .policy(refusal.refusal)))
                try await audit?.refused(record, id: record.id, route: host.route, .policy(refusal.refusal))
                let stays = request.keepsAlive && held.rest.isDone
                do { try await stream.write(ByteBuffer(bytes: refusal.encoded(keepsAlive: stays))) } catch { throw .callerGone("\(error)") }
                return stays ? reader : nil
            }
            observe(.wouldRefuse(route: host.route, refusal.refusal))
        }
        try await audit?.begins(record)
        observe(.called(route: host.route, identity))
        let start = ContinuousClock.now
        var failure: CallError?
        var ended = Exchange.Ended()
        do throws(CallError) {
            ended = try await exchange(request, reader, held, &kept, progress)
        } catch {
            failure = error
        }
        let duration = ContinuousClock.now - start
        try await audit?.ended(record, progress.now, error: failure, milliseconds: Int(duration / .milliseconds(1)))
        if let failure { throw failure }
        kept = ended.upstream
        return ended.caller
    }

    private func decide() throws(CallError) {
        if let refusal = registrations() { throw .registration(refusal) }
        guard now() < expires else { throw .certificate(.expired) }
        guard identity.opens(route: host.route) else { throw .routeNotOpened(host.route) }
        guard route.callers.allow(identity) else { throw .callerNotAllowed(host.route) }
    }

    // MARK: The policy of the route

    /// The body up to the policy's bound. Nothing has gone upstream before that.
    private func hold(_ reader: inout MessageReader, _ request: RouteRequest, _ routeGuard: RouteGuard) async throws(CallError) -> HeldBody {
        let isTooLong = if case .length(let length) = request.framing { length > routeGuard.policy.maxBodyBytes } else { false }
        do {
            if request.expectsContinue, !isTooLong || routeGuard.policy.mode == .dryRun {
                try await stream.write(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
            }
            return try await HeldBody.read(&reader, request.framing, for: routeGuard, within: times.head)
        } catch let error as CallError {
            throw error
        } catch let refusal as HTTPRefusal {
            throw .request(refusal)
        } catch is TimedOut {
            throw .tooSlow
        } catch {
            throw .callerGone("\(error)")
        }
    }

    /// What the policy says against the request; `nil` when it passes. Notes in the record what was judged.
    private func judge(_ held: HeldBody, _ request: RouteRequest, _ routeGuard: RouteGuard, _ record: inout CallRecord) -> PolicyAnswer? {
        let judgement: RouteGuard.Judgement
        if let refusal = held.refusal {
            judgement = .refused(refusal)
        } else if request.method == "POST" {
            let seconds = Double(NIODeadline.now().uptimeNanoseconds) / 1e9
            judgement = routeGuard.judge(Array(held.bytes.readableBytesView), request.fields, from: identity, now: seconds)
        } else if !["GET", "HEAD", "OPTIONS", "DELETE"].contains(request.method) {
            judgement = .refused(
                .init(.method, "http.method", "the method \(request.method) carries no message of MCP", remedy: "send messages by POST"))
        } else if held.bytes.readableBytes > 0 {
            judgement = .refused(.malformed("http.method", "a \(request.method) has no body", "send messages by POST"))
        } else {
            return nil
        }
        record.judged = .init(
            messages: (judgement.body?.messages ?? []).map { .init(method: $0.method, tool: $0.tool) }, rule: judgement.refusal?.rule,
            isDryRun: routeGuard.policy.mode == .dryRun)
        return judgement.refusal.map { PolicyAnswer($0, to: judgement.body, index: judgement.index) }
    }

    private func screening(_ routeGuard: RouteGuard) -> Exchange.Screening {
        let (route, observe) = (host.route, observe)
        return .init(screen: AnswerScreen(policy: routeGuard.policy, identity: identity)) { screened in
            for tool in routeGuard.saw(screened.seen) { observe(.toolChanged(route: route, tool: tool)) }
        }
    }

    private func exchange(
        _ request: RouteRequest, _ reader: MessageReader, _ held: HeldBody?, _ kept: inout UpstreamLink?, _ progress: CallProgress
    ) async throws(CallError) -> Exchange.Ended {
        let exchange = Exchange(
            caller: stream, request: request, times: times, progress: progress, held: held, screening: routeGuard.map(screening))
        let ready = kept
        kept = nil
        if let ready {
            if ready.stream.channel.isActive, request.isRepeatable || ready.isFresh(within: times.fresh) {
                do throws(CallError) {
                    return try await exchange.run(reader, ready)
                } catch {
                    // The upstream had closed the kept connection, and what it may have read changes nothing there. Nothing else is sent twice.
                    guard request.isRepeatable, progress.now.status == nil, error.isOfUpstream, !Task.isCancelled else { throw error }
                }
            } else {
                ready.stream.close()
            }
        }
        return try await exchange.run(reader, try await dialer.connect())
    }

    /// The next request; `nil` when the caller has ended its side, or sent nothing for long.
    private func nextRequest(_ reader: inout MessageReader) async throws(CallError) -> RouteRequest? {
        do {
            guard let lines = try await reader.head(idle: times.keepAlive, whole: times.head) else { return nil }
            return try RouteRequest(try RequestHead(lines: lines), host: host, route: route, headers: headers)
        } catch let refusal as HTTPRefusal {
            throw .request(refusal)
        } catch is TimedOut {
            throw .tooSlow
        } catch {
            throw .callerGone("\(error)")
        }
    }

    /// Says what is wrong where that can still be said; else ends the connection so that the caller sees that it did not get all.
    private func fail(_ error: CallError, _ progress: CallProgress) async {
        guard progress.now.status == nil, let status = error.status else { return stream.abort() }
        let type = status == 403 ? "permission_error" : status < 500 ? "invalid_request_error" : "api_error"
        let json: JSON = ["type": "error", "error": ["type": .string(type), "message": .string(error.description)], "reason": .string(error.code)]
        try? await stream.write(LegAnswer.encoded(status: status, json: json, fields: [("Postern-Answer-By", "connector")]))
    }
}

extension CallError {
    fileprivate var isOfUpstream: Bool {
        switch self {
        case .upstreamConnection, .upstreamAnswer: true
        default: false
        }
    }
}
