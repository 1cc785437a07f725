import FoundationEssentials
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternCore
import PosternMCP
import PosternTunnelWire

/// The key and the certificate of one session for one tunnel. Both are in memory only; they are made when they are first needed, again before the
/// certificate ends and when other authorities count for the tunnel or its routes are to be called otherwise, and go with this value.
actor SessionCertificate {
    /// What a session calls with, and what by. Where there is a route key the certificate, which the edge is shown, names routes by their ids too.
    struct Pass: Sendable {
        var credentials: PosternMCP.TunnelCredentials
        /// `nil` where routes are called by their names.
        var routeKey: RouteKey?
    }

    private struct Held {
        var pass: Pass
        var authorities: [String]
        var lookedUp: ContinuousClock.Instant
    }

    private let session: RuntimeSession
    private let person: String?
    private let workspaceID: String
    private let domain: String
    private let routes: [String]
    private let tunnels: TunnelService
    private let settings: RuntimeSettings
    private var held: Held?
    private var renewal: Task<Result<Pass, TransportError>, Never>?

    /// - Parameter routes: those of the tunnel that the session's agent names; the certificate opens no others.
    init(_ caller: MCPCaller, domain: String, routes: [String], tunnels: TunnelService, settings: RuntimeSettings) {
        session = RuntimeSession(
            id: caller.sessionID, agentID: caller.agentID, agentVersion: caller.agentVersion,
            configurationDigest: ConfigurationDigest.text(of: caller.agent))
        person = caller.person
        workspaceID = caller.workspaceID
        self.domain = domain
        self.routes = routes
        self.tunnels = tunnels
        self.settings = settings
    }

    /// What to call with now. One task renews for all that wait.
    func current() async throws(TransportError) -> Pass {
        if let held, !isEnding(held), ContinuousClock.now - held.lookedUp < settings.registrationsAge { return held.pass }
        let task = renewal ?? Task { await self.renewed() }
        renewal = task
        let result = await task.value
        if renewal == task { renewal = nil }
        return try result.get()
    }

    private func isEnding(_ held: Held) -> Bool { held.pass.credentials.isEnding(within: Double(settings.certificateRest.components.seconds)) }

    /// Nothing else than the setting decides: where it says so, there is no going on by names.
    private func routeKey(of tunnel: TunnelRecord) throws(APIError) -> RouteKey? {
        guard let text = tunnels.routeKey(of: tunnel) else { return nil }
        guard let key = RouteKey(text) else { throw .internalError }
        return key
    }

    private func renewed() async -> Result<Pass, TransportError> {
        // What is read counts from before it is read.
        let looked = ContinuousClock.now
        do {
            guard let tunnel = try await tunnels.liveTunnel(domain: domain, workspaceID: workspaceID) else {
                return .failure(.refused("the workspace has no tunnel with the domain \(domain) any more"))
            }
            let authorities = try await tunnels.authorities(of: tunnel)
            let routeKey = try routeKey(of: tunnel)
            if var held, held.authorities == authorities, held.pass.routeKey == routeKey, !isEnding(held) {
                held.lookedUp = looked
                self.held = held
                return .success(held.pass)
            }
            let shown = routeKey.map { key in routes.map { key.id(of: $0) } } ?? routes
            let request = try RuntimeRequest()
            let pem = try await tunnels.issueCertificate(
                for: session, person: person, routes: shown, tunnel, request: request.pem, life: settings.certificateLife)
            let credentials = try PosternMCP.TunnelCredentials(
                certificate: pem, key: request.keyPEM, authorities: authorities.joined(separator: "\n"))
            let pass = Pass(credentials: credentials, routeKey: routeKey)
            held = Held(pass: pass, authorities: authorities, lookedUp: looked)
            return .success(pass)
        } catch let error as PosternMCP.TunnelCredentials.Invalid {
            return .failure(.refused("\(error)"))
        } catch let error as APIError {
            return .failure(.refused("no certificate for the session: \(error.message)"))
        } catch {
            return .failure(.refused("no certificate for the session could be made"))
        }
    }
}
