import ManagedAgentsClient
import PosternConnector
import PosternEgress
import PosternMCP
import PosternPolicy

/// Asks the MCP server behind a route who it is and which tools it has, as a call would reach it: at the address that was checked, with the header
/// fields that the route injects. Calls no tool.
struct RouteMCPProbe {
    let name: String
    let route: ConnectorConfiguration.Route
    /// What was dialled.
    let address: IPAddress
    let port: Int
    /// Path of the MCP endpoint at the server.
    let path: String
    /// Absolute.
    let caFile: String?
    let headers: [(name: String, value: Secret)]
    let timeout: Duration

    private var subject: String { "route \(name)" }

    func finding() async -> StepFinding {
        let start = ContinuousClock.now
        var finding = StepFinding(verdict: .good, subject: subject, step: "MCP", detail: "")
        do throws(MCPError) {
            let (server, tools) = try await ask()
            describe(server, tools, &finding)
        } catch {
            describe(error, &finding)
        }
        finding.duration = .now - start
        return finding
    }

    /// What the server says of itself, and all its tools.
    func ask() async throws(MCPError) -> (ServerDescription, [Tool]) {
        let endpoint: MCPEndpoint
        let transport: AsyncHTTPTransport
        do {
            endpoint = try MCPEndpoint("\(route.upstream)\(path)", allowsPlainHTTP: true)
            var configuration = AsyncHTTPTransport.Configuration(baseURL: endpoint.base, caFile: caFile)
            configuration.trustsSystem = caFile == nil
            configuration.connectTo = .init(host: address.description, port: port)
            configuration.connectTimeout = timeout
            configuration.warmConnections = 0
            transport = try AsyncHTTPTransport(configuration)
        } catch {
            throw .refused("\(error)")
        }
        var settings = HTTPLink.Settings()
        settings.fields = headers.filter { !HTTPLink.reservedFields.contains($0.name.lowercased()) }
        var options = MCPClient.Options(identity: Implementation(name: "postern-connector-doctor", version: PosternVersion.text))
        (options.opening, options.silence, options.maximum) = (timeout, timeout, timeout)
        let client = MCPClient(HTTPLink(transport, endpoint: endpoint, settings: settings), options: options)
        let outcome: Result<(ServerDescription, [Tool]), MCPError>
        do throws(MCPError) { outcome = .success((try await client.open(), try await client.tools())) } catch { outcome = .failure(error) }
        await client.close()
        await transport.shutdown()
        return try outcome.get()
    }

    private func describe(_ server: ServerDescription, _ tools: [Tool], _ finding: inout StepFinding) {
        let identity = server.server.map { "\($0.name) \($0.version)" } ?? "a server without a name"
        finding.detail =
            "\(identity), revision \(server.revision.rawValue) (\(server.era.rawValue) era), \(tools.count) tool\(tools.count == 1 ? "" : "s")"
        guard let policy = route.policy else { return }
        let seen = ToolsUnderPolicy(policy, tools.map { ($0.name, $0.json) })
        finding.detail += ", of which the policy lets \(seen.callable.count) be called"
        if !seen.changed.isEmpty {
            finding.verdict = .failed
            finding.detail += "; defined otherwise than pinned: \(seen.changed.joined(separator: ", "))"
            finding.remedy = "look at the new definitions, and pin them with `postern connector pin` if they are good"
        } else if !seen.gone.isEmpty {
            finding.verdict = .warning
            finding.detail += "; pinned and not there: \(seen.gone.joined(separator: ", "))"
            finding.remedy = "take what is gone out of routes.\(name).policy.tools.pins"
        }
    }

    /// A route may carry something else than MCP, unless it has a policy.
    private func describe(_ error: MCPError, _ finding: inout StepFinding) {
        finding.detail = "\(error)"
        switch error {
        case .unauthorized(_, let hasToken) where !hasToken:
            // Such a server authorises its callers itself.
            finding.detail = "the server asks callers for a token of their own (401)"
            if route.policy != nil {
                finding.verdict = .warning
                finding.remedy = "the tools could not be held against the policy: look at them with `postern mcp tools … --bearer-file`"
            }
        case .unauthorized, .insufficientScope:
            finding.verdict = .failed
            finding.remedy = "the server refuses the header fields that routes.\(name).headers injects: renew the token in their file"
        case .status, .redirected, .malformed, .server, .revision:
            finding.verdict = route.policy == nil ? .warning : .failed
            finding.remedy = "no MCP server answers at \(path): give its path with --mcp-path; a route without a policy may carry something else"
        default:
            finding.verdict = .failed
            finding.remedy = "see the MCP server's log; `postern mcp probe \(route.upstream)\(path)` asks it step by step"
        }
    }
}

extension RouteMCPProbe {
    /// - Parameter address: one that the route's policy allows.
    init(
        _ name: String, _ route: ConnectorConfiguration.Route, _ files: ConnectorFiles, at address: IPAddress, port: UInt16, path: String,
        timeout: Duration
    ) {
        self.init(
            name: name, route: route, address: address, port: Int(port), path: path,
            caFile: route.caFile.map { ConnectorFiles.against(files.folder, $0) },
            headers: files.material.headerFields(of: name).map { ($0.name, Secret($0.value)) }, timeout: timeout)
    }

    /// Walks to the upstream first, by the route's own rules. Throws where it is not reached, or is nothing that is asked from here.
    init(_ name: String, _ route: ConnectorConfiguration.Route, _ files: ConnectorFiles, path: String, timeout: Duration) async throws {
        guard let authority = route.upstream.authority else {
            throw CommandError(
                .usage,
                "route \(name): \(route.upstream) is not asked from here: save its answer to tools/list, for instance through the tunnel, and "
                    + "give it with --from")
        }
        let outcome = try await UpstreamProbe(name, route, files.material, resolve: SystemResolver.resolve, timeout: timeout).ask()
        if let finding = RouteFindings(name: name, route: route).findings(outcome).last, outcome.failure != nil {
            throw CommandError(.unavailable, "route \(name): \(finding.step): \(finding.detail); \(finding.remedy ?? "")")
        }
        guard let address = outcome.address else { throw CommandError(.unavailable, "route \(name): its upstream has no address") }
        self.init(name, route, files, at: address, port: authority.port, path: path, timeout: timeout)
    }
}
