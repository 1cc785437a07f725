import NIOCore
import PosternHTTP
import PosternPolicy
import Synchronization

/// One request on its whole way: decided, recorded, sent, answered, recorded again.
struct Call: Sendable {
    let context: SessionContext
    let request: ForwardedRequest

    init(context: SessionContext, _ request: ForwardedRequest) {
        self.context = context
        self.request = request
    }

    /// Serves the request, whose head has been read from `client`. `kept` is a connection from the call before; afterwards one for the next.
    /// The client's reader at its next request; `nil` when its connection is over.
    func run(client: MessageReader, kept: inout UpstreamConnection?) async throws -> MessageReader? {
        var client = client
        do {
            let prepared = try await PreparedCall(request, context, client: &client)
            let route = try await context.route(to: request.destination, rule: prepared.decision.rule)
            try checkVerifiable(route, prepared.decision)
            let upload = { @Sendable (stream: ByteStream) in
                Upload(context: context, upstream: stream, destination: request.destination, decision: prepared.decision)
            }
            let wire = prepared.wireHead
            var spent = BudgetLedger.Call(host: request.destination.host)
            var size = wire.count
            if case .whole(let bytes) = prepared.body { size += bytes.readableBytes }
            try await upload(client.stream).spend(size, &spent)
            let id = try await announce(prepared, route)
            return try await perform(prepared, wire, spent, route, id, client, &kept)
        } catch let refusal as CallRefusal {
            return try await refuse(refusal, client, bodyIsUnread: !request.head.body.isEmpty)
        }
    }

    /// A certificate for an address is held against the address at the other end of the connection, which is the corporate proxy's here.
    private func checkVerifiable(_ route: Dialer.Route, _ decision: NetworkDecision) throws(CallRefusal) {
        guard request.encrypted, route == .parent, case .address = request.destination.host else { return }
        throw CallRefusal(
            403,
            EgressRefusal(
                kind: .address, destination: request.destination, rule: decision.rule,
                reason: "the certificate of an address cannot be verified through the corporate proxy",
                remedy: "ask for the host by its name, which an operator can add to network.rules of the policy"))
    }

    /// Intent before effect: nothing goes upstream before the worker has it on its disk.
    private func announce(_ prepared: PreparedCall, _ route: Dialer.Route) async throws -> Int {
        let session = context.session
        let intent = EgressIntent(
            kind: request.encrypted ? .https : .http, destination: request.destination, address: route.first, rule: prepared.decision.rule ?? "",
            method: request.head.method, path: printable(request.path.path), policyDigest: context.policyDigest)
        let id = try await context.reporter.record { .intent(id: $0, session: session, intent) }
        if !prepared.usedSecrets.isEmpty {
            let (names, destination) = (prepared.usedSecrets, request.destination)
            try await context.reporter.record { .secretUsed(id: $0, session: session, call: id, names: names, destination: destination) }
        }
        return id
    }

    private func perform(
        _ prepared: PreparedCall, _ wire: [UInt8], _ spent: BudgetLedger.Call, _ route: Dialer.Route, _ id: Int, _ client: MessageReader,
        _ kept: inout UpstreamConnection?
    ) async throws -> MessageReader? {
        let start = ContinuousClock.now
        let progress = AnswerRelay.Progress()
        var exchange = Exchange(context: context, request: request, prepared: prepared, wire: wire, spent: spent, progress: progress)
        var failure: (any Error)?
        var next: MessageReader?
        do {
            next = try await exchange.run(client: client, route: route, kept: &kept)
        } catch {
            failure = error
            kept?.stream.close()
            kept = nil
        }
        let state = progress.state.withLock { $0 }
        let outcome = EgressOutcome(
            status: state.status, sent: exchange.sent, received: state.received, milliseconds: Int((ContinuousClock.now - start) / .milliseconds(1)),
            failure: (failure as? CallRefusal)?.report.reason ?? failure.map { printable("\($0)") })
        context.reporter.post(.outcome(id: id, session: context.session, outcome))
        if !state.masked.isEmpty { context.reporter.post(.masked(session: context.session, call: id, counts: state.masked)) }
        guard let failure else { return next }
        if failure is CancellationError || failure is EgressReporter.NotRecorded { throw failure }
        return try await tell(failure, client, hasBegun: state.hasBegun)
    }

    /// Tells the client about a failure, if its answer has not begun.
    private func tell(_ failure: any Error, _ client: MessageReader, hasBegun: Bool) async throws -> MessageReader? {
        if let refusal = failure as? CallRefusal {
            guard hasBegun else { return try await refuse(refusal, client, bodyIsUnread: true) }
            try await context.record(refusal.of(request))
        }
        guard !hasBegun else {
            // The client must not take half an answer for a whole one.
            client.stream.close()
            return nil
        }
        let reason = (failure as? HTTPRefusal)?.reason ?? printable("\(failure)")
        let report = EgressRefusal(kind: .malformed, destination: request.destination, reason: "the server could not be asked: \(reason)", remedy: "")
        try await client.stream.write(CallRefusal(502, report).response(keepAlive: false))
        await client.stream.closeGently()
        return nil
    }

    /// The refusal is on the worker's disk before the client has it. A body that is still to come ends the connection.
    private func refuse(_ refusal: CallRefusal, _ client: MessageReader, bodyIsUnread: Bool) async throws -> MessageReader? {
        try await context.record(refusal.of(request))
        let stays = !bodyIsUnread && request.keepsAlive
        try await client.stream.write(refusal.response(keepAlive: stays))
        if stays { return client }
        await client.stream.closeGently()
        return nil
    }
}
