import FoundationEssentials
import ManagedAgentsClient
import PosternConnector
import PosternEgress
import PosternPolicy
import PosternTunnelWire

/// The work of `postern connector doctor`: walks every step, and tells of each as it is done.
struct ConnectorDoctor: Sendable {
    private let path: String
    private let folder: String
    private let routes: [String]
    /// Absolute.
    private let authorityFile: String
    private let mcpPath: String
    private let timeout: Duration

    init(config: String, routes: [String], authorityFile: String?, mcpPath: String, timeout: Duration) {
        path = TextFile.absolute(config)
        folder = path.lastIndex(of: "/").map { [path] in String(path[..<$0]) } ?? ""
        self.routes = routes
        self.authorityFile = authorityFile.map { TextFile.absolute($0) } ?? folder + "/ca.pem"
        self.mcpPath = mcpPath
        self.timeout = timeout
    }

    func findings() -> AsyncStream<StepFinding> {
        let (stream, feed) = AsyncStream<StepFinding>.makeStream()
        let work = Task {
            await walk { feed.yield($0) }
            feed.finish()
        }
        feed.onTermination = { _ in work.cancel() }
        return stream
    }

    private func walk(_ tell: @Sendable (StepFinding) -> Void) async {
        let files: ConnectorFiles
        do {
            files = try ConnectorFiles(config: path)
            for route in routes where files.configuration.routes[route] == nil {
                throw CommandError(.configuration, "--route \(route): the document has no such route")
            }
        } catch {
            return tell(
                StepFinding(
                    verdict: .failed, subject: "connector", step: "files", detail: "\(error)",
                    remedy: "mend it; `postern connector check` looks at files alone"))
        }
        tell(StepFinding(verdict: .good, subject: "connector", step: "files", detail: "\(path), keys and certificates can be used"))
        tell(
            StepFinding(
                verdict: .good, subject: "connector", step: "route ids",
                detail: files.configuration.tunnel.routeKeyFile == nil
                    ? "routes are called by name alone: the tunnel's hide_routes has to be off"
                    : "routes are called by name, and by id by who has the route key"
            ))
        await edges(files, tell)
        server(files, tell)
        for (name, route) in files.configuration.routes.sorted(by: { $0.key < $1.key }) where routes.isEmpty || routes.contains(name) {
            await self.route(name, route, files, tell)
        }
    }

    private func edges(_ files: ConnectorFiles, _ tell: (StepFinding) -> Void) async {
        do {
            let probe = try EdgeProbe(
                files.configuration, files.material, version: PosternVersion.text, resolve: SystemResolver.resolve, timeout: timeout)
            for address in files.configuration.edges.addresses {
                let outcome = await probe.ask(address)
                for finding in EdgeFindings(edges: files.configuration.edges, address: address, now: Date()).findings(outcome) { tell(finding) }
            }
        } catch {
            tell(
                StepFinding(
                    verdict: .failed, subject: "connector", step: "outer TLS", detail: "\(error)",
                    remedy: "see the certificates in identity and edges"))
        }
    }

    private func server(_ files: ConnectorFiles, _ tell: (StepFinding) -> Void) {
        var authority: TunnelAuthority?
        if TextFile.exists(authorityFile) {
            do { authority = try AuthorityRules.check(pem: TextFile.read(authorityFile), now: Date()) } catch {
                tell(
                    StepFinding(
                        verdict: .failed, subject: "connector", step: "CA", detail: "\(authorityFile): \(error)",
                        remedy: "callers believe no other certificate: make a CA that keeps the rules and register it"))
            }
        }
        let server = files.configuration.server
        let findings = ServerFindings(
            configuration: files.configuration,
            files: ServerFiles(
                certificate: ConnectorFiles.against(folder, server.certificateFile), key: ConnectorFiles.against(folder, server.keyFile)),
            authority: authority, authorityFile: authorityFile, runtimesExpire: files.material.runtimesExpire, now: Date())
        for finding in findings.findings() { tell(finding) }
    }

    private func route(_ name: String, _ route: ConnectorConfiguration.Route, _ files: ConnectorFiles, _ tell: (StepFinding) -> Void) async {
        let findings = RouteFindings(name: name, route: route)
        tell(findings.callers())
        do {
            let outcome = try await UpstreamProbe(name, route, files.material, resolve: SystemResolver.resolve, timeout: timeout).ask()
            for finding in findings.findings(outcome) { tell(finding) }
            guard outcome.failure == nil else { return }
            guard let address = outcome.address, let authority = route.upstream.authority else { return tell(findings.unasked()) }
            let probe = RouteMCPProbe(name, route, files, at: address, port: authority.port, path: mcpPath, timeout: timeout)
            tell(await probe.finding())
        } catch {
            tell(StepFinding(verdict: .failed, subject: "route \(name)", step: "files", detail: "\(error)", remedy: "mend the route's files"))
        }
    }
}
