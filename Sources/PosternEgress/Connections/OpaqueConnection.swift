import NIOCore
import PosternPolicy

/// TLS that is passed through unread: its server name has been checked, its bytes are counted and bounded.
struct OpaqueConnection: Sendable {
    let context: SessionContext
    let destination: Authority
    let decision: NetworkDecision

    func serve(_ client: ByteStream, hello: ByteBuffer) async throws {
        let start = ContinuousClock.now
        let route: Dialer.Route
        do throws(CallRefusal) {
            route = try await context.route(to: destination, rule: decision.rule)
        } catch {
            return try await context.record(error)
        }
        let intent = EgressIntent(
            kind: .tunnel, destination: destination, address: route.first, rule: decision.rule ?? "", policyDigest: context.policyDigest)
        let session = context.session
        let id = try await context.reporter.record { .intent(id: $0, session: session, intent) }
        var outcome = EgressOutcome()
        do {
            let (channel, address) = try await context.dialer.connect(to: destination, by: route)
            defer { channel.close(promise: nil) }
            let upstream = try await ByteStream.attach(to: channel)
            let request = NetworkRequest(host: destination.host, port: destination.port)
            let cut = { @Sendable in
                client.abort()
                upstream.abort()
            }
            let splice = Splice(
                client: client, upstream: upstream, maximumSent: decision.maximumSent, maximumReceived: decision.maximumReceived,
                idle: context.idleTime)
            let (ended, refusal) = try await context.live.watching(.init(request: request, address: address, cut: cut)) {
                // Asked again now that a cut would find this connection.
                _ = try context.allow(request)
                return await splice.run(
                    first: hello, call: BudgetLedger.Call(host: destination.host),
                    spend: { [context, destination, rule = decision.rule] bytes, call in
                        try await context.spend(bytes, &call, destination, rule: rule)
                    })
            }
            outcome = ended
            if let refusal { try await context.record(refusal) }
        } catch let refusal as CallRefusal {
            outcome.failure = refusal.report.reason
            try await context.record(refusal)
        } catch {
            outcome.failure = printable("\(error)")
        }
        outcome.milliseconds = Int((ContinuousClock.now - start) / .milliseconds(1))
        let ended = outcome
        context.reporter.post(.outcome(id: id, session: session, ended))
    }
}

extension Dialer.Route {
    /// The address that is dialled first.
    var first: IPAddress? {
        if case .direct(let addresses) = self { addresses.first } else { nil }
    }
}
