import ManagedAgentsClient
import PosternEgress
import PosternMCP
import UnixSignals

/// Opens the link to the server that the options name, and closes it afterwards.
struct MCPConnection: Sendable {
    /// For messages: the URL without its query, or the program.
    let name: String
    private let target: Target

    private enum Target: Sendable {
        case http(MCPEndpoint, AsyncHTTPTransport.Configuration, HTTPLink.Settings, MCPTokens)
        case tunnel(MCPEndpoint, TunnelRoute, FolderCredentials, HTTPLink.Settings, MCPTokens)
        case stdio(command: [String], variables: [String], messageLimit: Int)
    }

    private let clientOptions: MCPClient.Options

    /// - Parameter url: nil for a server that is started.
    init(_ options: MCPServerOptions, url: String?) throws {
        var client = MCPClient.Options(identity: Implementation(name: "postern", version: PosternVersion.text))
        client.revision = options.revision
        client.silence = options.timeout.duration
        client.maximum = options.maxTime.duration
        client.opening = min(options.timeout.duration, .seconds(30))
        clientOptions = client
        guard let url else {
            name = options.command.first ?? ""
            target = .stdio(
                command: options.command, variables: StdioServer.variables(passing: options.passEnv), messageLimit: options.maxMessageBytes)
            return
        }
        if let folder = options.tunnel.certificate {
            let tunnel = try MCPTunnelTarget(options.tunnel, folder: folder, url: url)
            name = "\(tunnel.endpoint)"
            let tokens = try MCPTokens(options, server: tunnel.resource)
            target = .tunnel(tunnel.endpoint, tunnel.route, tunnel.credentials, try Self.settings(options), tokens)
            return
        }
        let endpoint: MCPEndpoint
        do { endpoint = try MCPEndpoint(url, allowsPlainHTTP: options.allowHTTP) } catch {
            throw CommandError(.configuration, "\(error)\(options.allowHTTP ? "" : "; --allow-http allows it where the URL is otherwise right")")
        }
        name = "\(endpoint)"
        let tokens = try MCPTokens(options, server: endpoint)
        target = .http(endpoint, try Self.configuration(options, endpoint), try Self.settings(options), tokens)
    }

    private static func configuration(_ options: MCPServerOptions, _ endpoint: MCPEndpoint) throws -> AsyncHTTPTransport.Configuration {
        let settings = try Configuration(.client, flags: options.flags, environment: ProcessEnvironment.current)
        do {
            let proxy = try endpoint.base.isLoopback ? nil : settings.text(.clientProxy).map { try Proxy($0) }
            var configuration = AsyncHTTPTransport.Configuration(baseURL: endpoint.base, caFile: options.caFile, proxy: proxy)
            configuration.trustsSystem = options.caFile == nil
            if let certificate = options.clientCert, let key = options.clientKey {
                configuration.clientCertificate = AsyncHTTPTransport.ClientCertificate(certificateFile: certificate, keyFile: key)
            }
            configuration.connectTo = try options.connectTo.map { try address($0, standardPort: endpoint.base.port) }
            configuration.warmConnections = 0
            // --timeout and --max-time decide, which may be a day.
            configuration.readTimeout = HTTPLink.unlimited
            return configuration
        } catch let error as CommandError {
            throw error
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
    }

    /// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`: the grammar of a URL's authority.
    private static func address(_ text: String, standardPort: Int) throws -> AsyncHTTPTransport.Address {
        guard !text.contains("/"), let parsed = try? BaseURL("https://\(text)"), text.hasPrefix("[") || !parsed.host.contains(":") else {
            throw CommandError(.usage, "--connect-to must be written HOST or HOST:PORT, an IPv6 address in brackets, not \"\(text)\"")
        }
        let hasPort = text.hasSuffix(":\(parsed.port)")
        return AsyncHTTPTransport.Address(host: parsed.host, port: hasPort ? parsed.port : standardPort)
    }

    private static func settings(_ options: MCPServerOptions) throws -> HTTPLink.Settings {
        var settings = HTTPLink.Settings()
        settings.messageLimit = options.maxMessageBytes
        settings.bearer = try options.bearerFile.map { Secret(try TextFile.readSecret($0)) }
        if let file = options.headerFile {
            settings.fields = try HeaderFile.fields(
                parsing: TextFile.read(file), name: file, hasBearer: settings.bearer != nil || options.oauth.isGiven)
        }
        return settings
    }

    /// What a client is given. Steps are kept, and so they are only where somebody measures.
    func options(for trace: Trace?) -> MCPClient.Options {
        var options = clientOptions
        if let trace { options.onStep = { trace.add($0) } }
        return options
    }

    /// Gives `body` a client. Ctrl-C and SIGTERM cancel it, so that the server hears of that too.
    /// - Parameter trace: for whoever measures; it keeps every step for as long as the client lives.
    func run<Value: Sendable>(
        trace: Trace? = nil, _ body: @escaping @Sendable (MCPClient) async throws(MCPError) -> Value
    ) async throws(MCPError) -> Value {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let outcome = await withTaskGroup(of: Result<Value, MCPError>?.self) { group in
            group.addTask {
                do throws(MCPError) { return .success(try await self.use(trace, body)) } catch { return .failure(error) }
            }
            group.addTask {
                for await _ in signals { break }
                return nil
            }
            var first = await group.next() ?? nil
            group.cancelAll()
            for await next in group { first = first ?? next }
            return first
        }
        return try (outcome ?? .failure(.cancelled)).get()
    }

    private func use<Value: Sendable>(
        _ trace: Trace?, _ body: @escaping @Sendable (MCPClient) async throws(MCPError) -> Value
    ) async throws(MCPError) -> Value {
        let options = options(for: trace)
        let use = { @Sendable [options] (link: any MCPLink) async throws(MCPError) -> Value in
            let client = MCPClient(link, options: options)
            do throws(MCPError) {
                let value = try await body(client)
                await client.close()
                return value
            } catch {
                await client.close()
                throw error
            }
        }
        switch target {
        case .http(let endpoint, var configuration, let settings, let tokens):
            let peer = ServicePeer(host: configuration.dialledHost)
            configuration.checkConnection = { channel in
                trace?.connected()
                return peer.check(channel)
            }
            let transport: AsyncHTTPTransport
            do { transport = try AsyncHTTPTransport(configuration) } catch { throw MCPError(error) }
            do throws(MCPError) {
                let value = try await tokens.link(transport, endpoint, settings, trace, use)
                await transport.shutdown()
                return value
            } catch {
                await transport.shutdown()
                throw error
            }
        case .tunnel(let endpoint, let route, let credentials, let settings, let tokens):
            let peer = ServicePeer(host: route.edge.addresses.first?.host ?? route.edge.name)
            var dialling = TunnelConnections.Settings()
            dialling.checkConnection = { peer.check($0) }
            dialling.connected = { trace?.connected() }
            let connections = TunnelConnections(dialling)
            let transport = TunnelTransport(route.host, connections: connections) { () async throws(TransportError) in
                let held = await credentials.current()
                return TunnelPassage(TunnelRoute(host: route.host, edge: route.edge, way: route.way, routeKey: held.routeKey), held.credentials)
            }
            do throws(MCPError) {
                let value = try await tokens.link(transport, endpoint, settings, trace, use)
                await connections.shutdown()
                return value
            } catch {
                await connections.shutdown()
                throw error
            }
        case .stdio(let command, let variables, let messageLimit):
            let server = try StdioServer(command: command, variables: variables)
            trace?.connected()
            let terminal = Terminal()
            let outcome: Result<Value, MCPError>
            do throws(MCPError) {
                outcome = .success(
                    try await StdioLink.with(
                        output: server.output, input: server.input, name: command.joined(separator: " "), messageLimit: messageLimit,
                        note: { terminal.note("postern: \(Terminal.visible($0))") }, use))
            } catch {
                outcome = .failure(error)
            }
            let ending = await server.stop()
            switch outcome {
            case .failure(.ended(let reason)): throw .ended("\(reason); \(ending)")
            case .failure(.outcomeUnknown(let reason)): throw .outcomeUnknown("\(reason); \(ending)")
            default: return try outcome.get()
            }
        }
    }
}

extension CommandError {
    /// What a failure of an MCP server means for whoever runs the command.
    init(_ error: MCPError, server: String) {
        let status: CommandStatus =
            switch error {
            case .unreachable, .redirected, .ended: .unavailable
            case .timedOut(let method, _, _): method == "tools/call" ? .failure : .unavailable
            case .unauthorized, .insufficientScope, .status(403, _): .refused
            case .oauth(let problem): problem.kind == .unreachable ? .unavailable : .refused
            case .connector(let reason, _): reason.hasPrefix("upstream_") ? .unavailable : .refused
            case .inputRequired: .sessionWaits
            case .cancelled: .interrupted
            default: .failure
            }
        self.init(status, "\(server): \(Terminal.visible("\(error)"))")
    }
}
