import FoundationEssentials
import Logging
import NIOCore
import PosternHTTP
import PosternJSON
import PosternTLS
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire
import X509

/// A tunnel for whoever shows a runtime certificate, or a credential of the tunnel's workspace (RFC 9110, section 9.3.6). What is in it only the
/// connector can read.
struct ConnectDesk: Sendable {
    let limits: EdgeLimits
    let table: LegTable
    let directory: any EdgeDirectory
    let calls: CallPath
    let metrics: EdgeMetrics
    let logger: Logger

    /// Returns when the call has ended. `early` came behind the request.
    func serve(_ stream: ByteStream, _ admission: Admission, _ head: RequestHead, early: ByteBuffer) async throws {
        guard head.body.isEmpty else { throw HTTPRefusal("CONNECT has no body") }
        guard let name = ConnectTarget.host(head.target), let host = TunnelHost(name) else {
            throw HTTPRefusal("CONNECT takes HOST:443, with the host of a route of a tunnel")
        }
        let credential = try Self.credential(head)
        let slot: CallSlot
        do {
            let admitted: (tunnel: EdgeTunnel, opening: CallOpening)
            if !table.isReady {
                throw ConnectRefusal.notReady
            } else if let credential {
                admitted = try await check(credential, host)
            } else if let certificate = try await ClientCertificate.of(stream) {
                admitted = try await check(certificate, host)
            } else {
                throw ConnectRefusal.noCredential
            }
            admission.name()
            guard !table.isShut(tunnelID: admitted.tunnel.id, to: admitted.opening.reporter) else { throw ConnectRefusal.reported }
            do throws(ShareRefusal) { slot = try CallSlot.take(of: admitted.tunnel, admitted.opening, admission.shares) } catch {
                throw ConnectRefusal(error)
            }
        } catch let refusal as ConnectRefusal {
            metrics.refusals.increment(labels: [refusal.reason])
            return await stream.answer(refusal.status, refusal.type, refusal.message, refusal.fields)
        }
        defer { slot.leave() }
        try await stream.write(Array("HTTP/1.1 200 Connection established\r\n\(TunnelReport.field): \(slot.id)\r\n\r\n".utf8))
        do {
            try await calls.run(stream, to: host, first: try await hello(stream, early), slot)
        } catch let refusal as CallRefusal {
            metrics.refusals.increment(labels: [refusal.reason])
            logger.info(
                "a call was not connected",
                metadata: ["tunnel": "\(slot.tunnel.id)", "principal": "\(slot.opening.principals.joined(separator: " "))", "reason": "\(refusal)"])
            // Where the client expects a ServerHello, an alert says most.
            try? await stream.write(TLSAlert.internalError.record)
            await stream.closeGently(within: .seconds(1))
        }
    }

    /// The ClientHello of inner TLS, whole: who drips it holds no stream of a leg.
    private func hello(_ stream: ByteStream, _ early: ByteBuffer) async throws -> ByteBuffer {
        do {
            guard let (_, bytes) = try await stream.clientHello(within: limits.firstBytes, early: early) else { throw CallRefusal.noFirstBytes }
            return bytes
        } catch is ClientHelloError {
            throw CallRefusal.notTLS
        } catch is TimedOut {
            throw CallRefusal.noFirstBytes
        }
    }

    func check(_ credential: String, _ host: TunnelHost) async throws(ConnectRefusal) -> (EdgeTunnel, CallOpening) {
        guard let tunnel = table.tunnel(domain: host.domain) else { throw .notOpen }
        let principal: EdgePrincipal?
        let asked = table.now
        do throws(EdgeDirectoryError) {
            principal = try await directory.authorize(credential: credential, tunnelID: tunnel.id)
        } catch {
            metrics.directoryFailures.increment()
            logger.warning("a credential could not be checked", metadata: ["reason": "\(error)"])
            throw .unavailable
        }
        guard let principal, principal.workspaceID == tunnel.workspaceID else { throw .notOpen }
        table.authorized(principal.id, asked: asked)
        return (tunnel, .credential(principal))
    }

    /// What the workspace's authority has signed is looked at here; only whether the person in it still counts the control plane is asked.
    func check(_ certificate: Certificate, _ host: TunnelHost) async throws(ConnectRefusal) -> (EdgeTunnel, CallOpening) {
        guard let tunnel = table.tunnel(domain: host.domain), let authority = table.authority(workspaceID: tunnel.workspaceID) else {
            throw .notOpen
        }
        let identity: RuntimeIdentity
        do throws(RuntimeCertificateError) {
            identity = try RuntimeCertificate.verify(
                certificate, authority: authority, now: Date(), tunnelID: tunnel.id, workspaceID: tunnel.workspaceID)
        } catch {
            switch error {
            // Only said of what the authority did sign.
            case .notYetValid, .expired, .tooLongLived, .otherTunnel: throw .certificate(error)
            default: throw .notOpen
            }
        }
        // Which route an id stands for the connector alone can tell, and looks at the certificate again.
        guard identity.opens(route: host.route) || RouteKey.isID(host.route) else { throw .route(host.route) }
        let opening = CallOpening.certificate(identity, certificate)
        if !opening.principals.contains(where: table.hasEnded) {
            let stale = opening.principals.filter(table.isStale)
            if !stale.isEmpty { await ask(about: stale) }
        }
        if let person = identity.person, table.hasEnded(person) { throw .ended }
        if let session = identity.sessionID, table.hasEnded(session) { throw .sessionEnded }
        return (tunnel, opening)
    }

    /// Returns when the control plane has answered, or the time for it is over: then what was last known holds.
    private func ask(about principals: [String]) async {
        let asked = table.now
        let ended = await withTaskGroup(of: Set<String>?.self) { group in
            group.addTask {
                do throws(EdgeDirectoryError) { return try await directory.ended(principals) } catch {
                    if !Task.isCancelled { logger.warning("who is in a certificate could not be asked about", metadata: ["reason": "\(error)"]) }
                    return nil
                }
            }
            group.addTask {
                try? await Task.sleep(for: .nanoseconds(limits.ask.nanoseconds))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        if ended == nil { metrics.directoryFailures.increment() }
        // Where no answer came the next one is not waited for at once: every call would take as long.
        table.heard(of: principals, ended: ended ?? [], asked: ended == nil ? table.now : asked)
    }

    /// `Proxy-Authorization`, as RFC 9110, section 11.7.2, has it, or `Authorization`, which some clients can set only.
    static func credential(_ head: RequestHead) throws(HTTPRefusal) -> String? {
        do throws(LegRefusal) {
            let proxy = try BearerCredential.read(head, field: "proxy-authorization")
            let direct = try BearerCredential.read(head, field: "authorization")
            guard proxy == nil || direct == nil else { throw LegRefusal(.malformed, "a credential is given twice") }
            return proxy ?? direct
        } catch {
            throw HTTPRefusal(error.message)
        }
    }
}
