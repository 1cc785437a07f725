import FoundationEssentials
import NIOCore
import PosternHTTP
import PosternJSON
import PosternTunnelLink
import PosternTunnelWire
import X509

/// One inner connection after its handshake: requests of one identity to one route, one after the other. Each goes by what is in force when it
/// begins, and is cut when something takes that away.
struct InnerConnection: Sendable {
    let stream: ByteStream
    let host: TunnelHost
    let caller: CallerSubject
    let live: LiveConnection
    let server: CallServer

    var identity: RuntimeIdentity { live.identity }

    /// An upstream connection between two calls. No upstream connection serves two identities: it lives as long as this connection at most.
    private struct Kept {
        var link: UpstreamLink
        /// Of the snapshot that it was dialled under.
        var number: Int
    }

    /// A request that may go to its upstream.
    struct Accepted {
        var request: RouteRequest
        var runtime: RouteRuntime
        var number: Int
        var held: HeldBody?
        var record: CallRecord
    }

    /// Returns when the connection has ended.
    func run() async {
        let left = live.certificate.notValidAfter.timeIntervalSince(server.now())
        let end = stream.channel.eventLoop.scheduleTask(in: .nanoseconds(Int64(min(max(left, 0), 100_000) * 1e9))) { [live] in
            live.cut(.certificateEnded)
        }
        defer { end.cancel() }
        await live.run { await serveAll() }
    }

    private func serveAll() async {
        var reader: MessageReader? = MessageReader(stream)
        var kept: Kept?
        while let next = reader {
            let progress = CallProgress()
            do {
                reader = try await serve(next, &kept, progress)
            } catch {
                let error = live.cause.map(CallError.cut) ?? error
                server.observe(progress.now.hasBegun ? .failed(route: host.route, error) : .refused(route: host.route, error))
                await fail(error, progress)
                reader = nil
            }
        }
        kept?.link.stream.close()
        if live.cause == nil { await stream.closeGently() }
    }

    /// One request; the reader behind it, `nil` where the connection is over.
    private func serve(_ reader: MessageReader, _ kept: inout Kept?, _ progress: CallProgress) async throws(CallError) -> MessageReader? {
        var reader = reader
        guard let head = try await nextHead(&reader) else { return nil }
        let snapshot = server.current()
        guard let runtime = snapshot.routes[host.route] else { throw .cut(.noLongerAllowed("the route was taken out")) }
        var record = CallRecord(
            id: server.newID(), identity: identity, route: host.route, upstream: runtime.route.upstream.description, method: "-")
        let request: RouteRequest
        do throws(CallError) {
            request = try open(head, runtime)
            record.method = request.method
            try decide(request, snapshot, runtime)
            try runtime.slots.enter(caller, runtime.route.limits)
        } catch {
            // Who asks for another host, or in a form that has two readings, is known by now.
            try await server.audit?.refused(record, id: record.id, route: host.route, error)
            throw error
        }
        defer { runtime.slots.leave(caller) }
        live.runs(.init(runtime: runtime))
        defer { live.runs(nil) }
        var accepted = Accepted(request: request, runtime: runtime, number: snapshot.number, record: record)
        defer { if let held = accepted.held { runtime.routeGuard?.release(held.bytes.readableBytes) } }
        progress.keep(server.audit?.content(runtime.route.audit, runtime.payloads))
        if let after = try await judge(&reader, &accepted, progress) { return after.reader }
        return try await run(accepted, reader, &kept, progress)
    }

    private func open(_ head: RequestHead, _ runtime: RouteRuntime) throws(CallError) -> RouteRequest {
        do throws(HTTPRefusal) {
            return try RouteRequest(head, host: host, route: runtime.route, headers: runtime.headers, sessions: (runtime.sessions, caller))
        } catch {
            throw .request(error)
        }
    }

    private func decide(_ request: RouteRequest, _ snapshot: ConnectorSnapshot, _ runtime: RouteRuntime) throws(CallError) {
        if let refusal = server.registrations() { throw .registration(refusal) }
        guard server.now() < live.certificate.notValidAfter else { throw .certificate(.expired) }
        guard identity.opens(route: host.route) else { throw .routeNotOpened(host.route) }
        guard runtime.route.callers.allow(identity) else { throw .callerNotAllowed(host.route) }
        if case .length(let length) = request.framing, length > runtime.route.limits.requestBytes {
            throw .requestTooLarge(runtime.route.limits.requestBytes)
        }
        // The handshake may have been under another authority.
        if !live.wasHeld(against: snapshot), let cause = live.refusal(under: snapshot, now: server.now()) { throw .cut(cause) }
    }

    /// The call itself, recorded before and after.
    private func run(_ accepted: Accepted, _ reader: MessageReader, _ kept: inout Kept?, _ progress: CallProgress) async throws(CallError)
        -> MessageReader?
    {
        let record = accepted.record
        // What changed while the request came is looked at now; what changes from here on cuts the call.
        do throws(CallError) { try delivery(accepted, progress, WriteWatch()).checkBudget() } catch {
            try await server.audit?.refused(record, id: record.id, route: host.route, error)
            throw error
        }
        let now = server.current()
        if now.number != accepted.number, let cause = live.refusal(under: now, now: server.now()) {
            try await server.audit?.refused(record, id: record.id, route: host.route, .cut(cause))
            throw .cut(cause)
        }
        try await server.audit?.begins(record)
        progress.begins()
        server.observe(.called(route: host.route, identity))
        let (watch, limits) = (WriteWatch(), accepted.runtime.route.limits)
        let over = NIODeadline.now() + limits.call
        let step = min(limits.take, limits.idle, limits.call)
        let looks = stream.channel.eventLoop.scheduleRepeatedTask(initialDelay: step, delay: step) { [live] _ in
            if over <= .now() { live.cut(.tooLong) } else { watch.look() }
        }
        defer { looks.cancel() }
        let start = NIODeadline.now()
        var failure: CallError?
        var ended = Exchange.Ended()
        do throws(CallError) {
            ended = try await exchange(accepted, reader, &kept, progress, watch)
        } catch {
            failure = live.cause.map(CallError.cut) ?? error
        }
        let duration = NIODeadline.now() - start
        server.observe(.ended(route: host.route, CallEnd(progress.now, error: failure, start: start)))
        try await server.audit?.ended(record, progress.now, error: failure, milliseconds: Int(duration.nanoseconds / 1_000_000))
        if let failure { throw failure }
        kept = ended.upstream.map { Kept(link: $0, number: accepted.number) }
        return ended.caller
    }

    private func exchange(
        _ accepted: Accepted, _ reader: MessageReader, _ kept: inout Kept?, _ progress: CallProgress, _ watch: WriteWatch
    ) async throws(CallError) -> Exchange.Ended {
        let (request, runtime) = (accepted.request, accepted.runtime)
        let exchange = Exchange(
            caller: stream, request: request, limits: runtime.route.limits, progress: progress, watch: watch,
            delivery: delivery(accepted, progress, watch), rest: server.times.rest, held: accepted.held,
            outlived: { [server, host] in server.observe(.outlived(route: host.route)) },
            screening: runtime.routeGuard.map { screening($0, progress.now.content) })
        let ready = kept
        kept = nil
        if let ready {
            let link = ready.link
            if ready.number == accepted.number, link.stream.channel.isActive, request.isRepeatable || link.isFresh(within: server.times.fresh) {
                do throws(CallError) {
                    return try await exchange.run(reader, link)
                } catch {
                    // The upstream had closed the kept connection, and what it may have read changes nothing there. Nothing else is sent twice.
                    guard request.isRepeatable, progress.now.status == nil, error.isOfUpstream, !Task.isCancelled else { throw error }
                }
            } else {
                link.stream.close()
            }
        }
        return try await exchange.run(reader, try await runtime.dialer.connect(for: identity))
    }

    private func delivery(_ accepted: Accepted, _ progress: CallProgress, _ watch: WriteWatch) -> AnswerDelivery {
        let runtime = accepted.runtime
        return AnswerDelivery(
            caller: stream, route: runtime.route, routeName: host.route, redaction: runtime.redaction, sessions: runtime.sessions, subject: caller,
            session: accepted.request.session, book: server.book, now: server.now, progress: progress, watch: watch)
    }

    /// The next request's head; `nil` when the caller has ended its side, or sent nothing for long.
    private func nextHead(_ reader: inout MessageReader) async throws(CallError) -> RequestHead? {
        let route = server.current().routes[host.route]?.route
        let (whole, upstream) = (route?.limits.head ?? server.times.head, route?.upstream.description ?? "")
        do {
            guard let lines = try await reader.head(idle: server.times.keepAlive, whole: whole) else { return nil }
            return try RequestHead(lines: lines)
        } catch let refusal as HTTPRefusal {
            let record = CallRecord(id: server.newID(), identity: identity, route: host.route, upstream: upstream, method: "-")
            try await server.audit?.refused(record, id: record.id, route: host.route, .request(refusal))
            throw .request(refusal)
        } catch is TimedOut {
            throw .tooSlow
        } catch {
            throw .callerGone("\(error)")
        }
    }

    /// Says what is wrong where that can still be said; else ends the connection so that the caller sees that it did not get all.
    private func fail(_ error: CallError, _ progress: CallProgress) async {
        guard live.cause == nil, progress.now.status == nil, let status = error.status else { return stream.abort() }
        let type = status == 403 ? "permission_error" : status == 429 ? "rate_limit_error" : status < 500 ? "invalid_request_error" : "api_error"
        let json: JSON = [
            "type": "error", "error": ["type": .string(type), "message": .string(error.told)], "reason": .string(error.code),
            "sent": JSON.bool(progress.now.hasLeft),
        ]
        var fields = [(name: "Postern-Answer-By", value: "connector")]
        if [429, 503].contains(status) { fields.append(("Retry-After", "1")) }
        let time = server.current().routes[host.route]?.route.limits.take ?? RouteLimits().take
        try? await WriteWatch.write(ByteBuffer(bytes: LegAnswer.encoded(status: status, json: json, fields: fields)), to: stream, within: time)
    }
}
