import FoundationEssentials
import NIOCore
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// One inner connection after its handshake: requests of one identity to one route, one after the other. Each goes by what is in force when it
/// begins, and is cut when something takes that away.
struct InnerConnection: Sendable {
    let stream: ByteStream
    let host: TunnelHost
    let caller: CallerSubject
    let live: LiveConnection
    let server: CallServer
    /// The first request, where its head was read already.
    var opening: Opening?

    struct Opening: Sendable {
        var reader: MessageReader
        var head: RequestHead
    }

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
        live.watchEnd(now: server.now())
        defer { live.stopWatching() }
        await live.run { await serveAll() }
    }

    private func serveAll() async {
        var reader: MessageReader? = opening?.reader ?? MessageReader(stream)
        var first = opening?.head
        var kept: Kept?
        while let next = reader {
            let progress = CallProgress()
            do {
                let head = first
                first = nil
                reader = try await serve(next, head, &kept, progress)
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
    /// - Parameter first: its head, where that was read already.
    private func serve(
        _ reader: MessageReader, _ first: RequestHead?, _ kept: inout Kept?, _ progress: CallProgress
    ) async throws(CallError) -> MessageReader? {
        var reader = reader
        var next = first
        if next == nil { next = try await nextHead(&reader) }
        guard let head = next else { return nil }
        let snapshot = server.current()
        guard let runtime = snapshot.routes[host.route] else { throw .cut(.noLongerAllowed("the route was taken out")) }
        var record = CallRecord(
            id: server.newID(), identity: identity, route: host.route, upstream: runtime.upstream, method: "-")
        let request: RouteRequest
        do throws(CallError) {
            if let bearer = runtime.bearer, case .token(let token, _) = live.proof {
                if try await server.tells(head, host, bearer, to: stream) { return nil }
                try await prove(head, token, bearer, snapshot)
            }
            if Self.isRenewal(head) { return try await renew(head, snapshot, runtime) ? reader : nil }
            var opened = try open(head, runtime)
            // Whoever stands on a certificate that was replaced comes back on the new one.
            if live.server != snapshot.material.serverFingerprint { opened.keepsAlive = false }
            request = opened
            record.method = request.method
            try decide(request, snapshot, runtime)
            try runtime.slots.enter(caller, runtime.route.limits)
        } catch {
            // Who asks for another host, or in a form that has two readings, is known by now.
            try await server.audit?.refused(record, id: record.id, route: host.route, error)
            throw error
        }
        defer { runtime.slots.leave(caller) }
        live.runs(.init(runtime: runtime, id: request.renewalID))
        defer { live.runs(nil) }
        var accepted = Accepted(request: request, runtime: runtime, number: snapshot.number, record: record)
        defer { if let held = accepted.held { runtime.routeGuard?.release(held.bytes.readableBytes) } }
        progress.keep(server.audit?.content(runtime.route.audit, runtime.payloads))
        if let after = try await judge(&reader, &accepted, progress) { return after.reader }
        return try await run(accepted, reader, &kept, progress)
    }

    /// Each request shows a token, of the one caller that this connection is for. A newer one takes the place of the one before.
    private func prove(_ head: RequestHead, _ last: BearerToken, _ bearer: BearerVerifier, _ snapshot: ConnectorSnapshot) async throws(CallError) {
        let text: String
        do throws(BearerRefusal) { text = try BearerVerifier.token(in: head) } catch { throw .bearer(error) }
        if text == last.text, live.wasHeld(against: snapshot), bearer.holds(last) { return }
        let (token, caller) = try await server.token(of: head, bearer)
        guard caller.identity(snapshot.configuration.tunnel) == identity else {
            throw .request(HTTPRefusal(421, "this connection is another caller's: open one for each"))
        }
        live.rest(on: .token(token, ends: caller.ends), number: snapshot.number, now: server.now())
    }

    private func open(_ head: RequestHead, _ runtime: RouteRuntime) throws(CallError) -> RouteRequest {
        do throws(HTTPRefusal) {
            return try RouteRequest(head, host: host, route: runtime.route, headers: runtime.headers, sessions: (runtime.sessions, caller))
        } catch {
            throw .request(error)
        }
    }

    private func decide(_ request: RouteRequest, _ snapshot: ConnectorSnapshot, _ runtime: RouteRuntime) throws(CallError) {
        try admits(snapshot, runtime)
        if case .length(let length) = request.framing, length > runtime.route.limits.requestBytes {
            throw .requestTooLarge(runtime.route.limits.requestBytes)
        }
    }

    /// Throws where this caller may begin no call now.
    func admits(_ snapshot: ConnectorSnapshot, _ runtime: RouteRuntime) throws(CallError) {
        if let refusal = server.registrations() ?? server.ofServer(live.server) { throw .registration(refusal) }
        let proof = live.proof
        guard server.now() < proof.ends else { throw proof.expired }
        guard snapshot.opens(identity, host.route) else { throw .routeNotOpened(host.route) }
        guard runtime.route.callers.allow(identity) else { throw .callerNotAllowed(host.route) }
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
        live.looks.begin(watch, limits) { [live] in live.cut(.tooLong) }
        defer { live.looks.end() }
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
        let runtime = server.current().routes[host.route]
        let whole = runtime?.route.limits.head ?? server.times.head
        do {
            guard let lines = try await reader.head(idle: server.times.keepAlive, whole: whole) else { return nil }
            return try RequestHead(lines: lines)
        } catch let refusal as HTTPRefusal {
            let record = CallRecord(id: server.newID(), identity: identity, route: host.route, upstream: runtime?.upstream ?? "", method: "-")
            try await server.audit?.refused(record, id: record.id, route: host.route, .request(refusal))
            throw .request(refusal)
        } catch {
            throw CallError(reading: error)
        }
    }

    /// Says what is wrong where that can still be said; else ends the connection so that the caller sees that it did not get all.
    private func fail(_ error: CallError, _ progress: CallProgress) async {
        guard live.cause == nil, progress.now.status == nil, error.status != nil else { return stream.abort() }
        await server.answer(error, hasLeft: progress.now.hasLeft, host: host, to: stream)
    }
}
