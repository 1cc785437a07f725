import FoundationEssentials
import NIOCore
import NIOSSL
import PosternGate
import PosternHTTP
import PosternTLS
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import X509

/// Serves the calls of all legs: opens the stream, ends inner TLS, and lets nobody in whose certificate does not count.
struct CallServer: Sendable {
    /// What is in force now.
    let current: @Sendable () -> ConnectorSnapshot
    let live: LiveConnections
    let book: ByteBook
    let times: ConnectorTimes
    let now: @Sendable () -> Date
    /// An id for the record of a call.
    let newID: @Sendable () -> String
    let audit: (any CallAudit)?
    /// Why no call is let through now.
    let registrations: @Sendable () -> RegistrationRefusal?
    /// Why no call is let through that stands on a server certificate, named by its fingerprint.
    let ofServer: @Sendable (String) -> RegistrationRefusal?
    let observe: @Sendable (ConnectorEvent) -> Void

    /// Returns when the call has ended.
    func serve(_ call: LegCall) async {
        let snapshot = current()
        let name = ConnectTarget.host(Array(call.authority.utf8))
        guard let name, let asked = TunnelHost(name), asked.domain == snapshot.configuration.tunnel.domain,
            let route = snapshot.route(of: asked.route)
        else {
            let error = CallError.noRoute(String((name ?? call.authority).prefix(253)))
            observe(.refused(route: nil, error))
            try? await audit?.refused(nil, id: newID(), route: nil, error)
            return call.reject(404)
        }
        let host = TunnelHost(route: route, domain: asked.domain)
        call.accept()
        do {
            guard let opened = try await letIn(call.stream, host, asked, snapshot) else { return await call.stream.closeGently() }
            let connection = opened.connection
            let caller = CallerSubject(connection.identity)
            let id = try live.enter(connection, caller, most: snapshot.routes[host.route]?.route.limits.connectionsPerCaller ?? 0)
            defer {
                live.leave(id, caller)
                let server = connection.server
                if server != current().material.serverFingerprint, live.count(ofServer: server) == 0 { observe(.certificateUnused) }
            }
            await InnerConnection(stream: call.stream, host: host, caller: caller, live: connection, server: self, opening: opened.opening).run()
        } catch {
            observe(.refused(route: host.route, error))
            // Nothing runs here that an unwritten record could hide.
            try? await audit?.refused(nil, id: newID(), route: host.route, error)
            await turnAway(call.stream, error)
        }
    }

    /// Inner TLS up to a verified client certificate: no byte of HTTP is read before that. Where the route asks for none, up to a request with a token
    /// that counts; `nil` where that was answered already.
    /// - Parameter asked: the host as the stream was opened for it, which the ClientHello has to name: what an edge can read says no more than it knows.
    private func letIn(_ stream: ByteStream, _ host: TunnelHost, _ asked: TunnelHost, _ snapshot: ConnectorSnapshot) async throws(CallError)
        -> Opened?
    {
        let hello: (hello: ClientHello, bytes: ByteBuffer)
        do {
            guard let read = try await stream.clientHello(within: times.handshake) else { throw CallError.callerGone("before its ClientHello") }
            hello = read
        } catch {
            throw CallError(reading: error)
        }
        guard hello.hello.serverName == asked.name else { throw .serverName }
        if let bearer = snapshot.routes[host.route]?.bearer { return try await admit(stream, hello.bytes, host, bearer, snapshot) }
        let verifier = RuntimeVerifier(authority: snapshot.material.runtimeAuthority, tunnel: snapshot.configuration.tunnel, now: now)
        let certificate: NIOSSLCertificate?
        do {
            let inner = snapshot.inner
            _ = try await stream.startTLS(replay: hello.bytes, within: times.handshake) { verifier.handler(inner) }
            certificate = try await stream.inspect { try $0.handler(type: NIOSSLHandler.self).peerCertificate }
        } catch {
            throw verifier.refusal ?? Self.failure(error)
        }
        let accepted = try verifier.check(certificate)
        return Opened(
            connection: LiveConnection(
                route: host.route, identity: accepted.identity, proof: .certificate(accepted.parsed), server: snapshot.material.serverFingerprint,
                stream: stream, number: snapshot.number))
    }

    static func failure(_ error: any Error) -> CallError {
        if error is TimedOut { return .tooSlow }
        let text = "\(error)"
        // BoringSSL's name for a client that answers the request for a certificate with none.
        return text.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE") ? .noCertificate : .handshake(String(text.prefix(300)))
    }

    /// Before TLS stands, an alert in the clear says most; after that TLS has said its own.
    private func turnAway(_ stream: ByteStream, _ error: CallError) async {
        if case .serverName = error { try? await stream.write(TLSAlert.unrecognizedName.record) }
        await stream.closeGently(within: .seconds(1))
    }
}
