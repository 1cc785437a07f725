import PosternPolicy

/// Keys of a route that only some upstreams have.
enum RouteUpstreamReader {
    /// Only beside `command`, itself among them.
    static let commandKeys = ["command", "sandbox", "folder", "env", "sessions"]
    /// Not beside `command`.
    static let serverKeys = ["addresses", "host", "headers", "ca_file"]
    /// What `sandbox` holds, as in a policy.
    static let sandboxKeys = ["files", "workspace", "limits", "variables"]
    /// Stands where the document says nothing that counts; there is a problem then.
    static let missing = RouteUpstream.network(isTLS: false, Authority(host: .name("missing"), port: 1))
}

extension DocumentReader {
    /// `upstream: scheme://host:port`, `upstream: unix:/path` or `command: [program, arguments…]`: one of them.
    mutating func upstream(_ route: Mapping) -> RouteUpstream {
        if let node = route["command"] {
            if let other = route["upstream"] {
                add(other.place, route.path.key("upstream"), "stands beside \"command\"", "keep one of both")
            }
            for key in RouteUpstreamReader.serverKeys {
                guard let other = route[key] else { continue }
                add(other.place, route.path.key(key), "is for servers that are dialled, and \"command\" starts one", "leave it out")
            }
            return .command(child(route, node))
        }
        for key in RouteUpstreamReader.commandKeys {
            guard let node = route[key] else { continue }
            add(node.place, route.path.key(key), "is for a server that \"command\" starts", "leave it out")
        }
        let upstream = server(route)
        if let node = route["ca_file"], !upstream.isTLS {
            add(node.place, route.path.key("ca_file"), "needs an upstream with https", "leave it out, or write https://")
        }
        if let node = route["addresses"], case .socket = upstream {
            add(node.place, route.path.key("addresses"), "is for upstreams of the network, and a unix socket has no address", "leave it out")
        }
        return upstream
    }

    private mutating func server(_ route: Mapping) -> RouteUpstream {
        let text = required(route, "upstream", "write it as http://host:port, https://host:port or unix:/path, or write a command")
        guard !text.isEmpty, let node = route["upstream"] else { return RouteUpstreamReader.missing }
        let path = route.path.key("upstream")
        if text.hasPrefix("unix:") { return socket(String(text.dropFirst(5)), node, path) }
        let isTLS = text.hasPrefix("https://")
        guard isTLS || text.hasPrefix("http://") else {
            add(node.place, path, value: text, "must begin with http://, https:// or unix:")
            return RouteUpstreamReader.missing
        }
        // A port is demanded, and neither a path nor credentials are taken.
        do throws(PolicyValueError) {
            return .network(isTLS: isTLS, try Authority(String(text.dropFirst(isTLS ? 8 : 7))))
        } catch {
            add(node.place, path, value: text, error.rule, "write it as \(isTLS ? "https" : "http")://host:port, without a path")
            return RouteUpstreamReader.missing
        }
    }

    private mutating func socket(_ text: String, _ node: PolicyNode, _ path: PolicyPath) -> RouteUpstream {
        do throws(PolicyValueError) {
            let socket = try HostPath(text).description
            guard socket != "/", socket.utf8.count <= RouteUpstream.longestSocketPath else {
                throw PolicyValueError(
                    value: text, rule: "must be the path of a unix socket, of at most \(RouteUpstream.longestSocketPath) bytes")
            }
            return .socket(path: socket)
        } catch {
            add(node.place, path, value: text, error.rule, "write it as unix:/path/to.sock")
            return RouteUpstreamReader.missing
        }
    }

    // MARK: A command

    private mutating func child(_ route: Mapping, _ node: PolicyNode) -> ChildSettings {
        let path = route.path.key("command")
        let command = list(route, "command") { (text) throws(PolicyValueError) in
            guard text.utf8.count <= ChildSettings.longestArgument, !text.utf8.contains(0) else {
                throw PolicyValueError(value: "", rule: "must be at most \(ChildSettings.longestArgument) bytes, without a NUL")
            }
            return text
        }
        let isCommand = command.map { (1...ChildSettings.mostArguments).contains($0.count) && !$0[0].isEmpty } ?? true
        if !isCommand { add(node.place, path, "must be a program and at most \(ChildSettings.mostArguments - 1) arguments", "write it as a list") }
        let sandbox = sandbox(route)
        var settings = ChildSettings(
            command: command ?? [], sandbox: sandbox, folder: folder(route), secrets: secrets(route, sandbox), sessions: sessions(route))
        // What callers of all sessions share is read, unless the document says that it is written.
        if settings.folder != nil, route["sandbox"]?["workspace"]?["mode"] == nil { settings.sandbox.workspace = .ro }
        return settings
    }

    private mutating func sandbox(_ route: Mapping) -> Policy {
        let place = route["sandbox"]?.place ?? route.node.place
        let path = route.path.key("sandbox")
        let section = route["sandbox"].map { map($0, path, known: RouteUpstreamReader.sandboxKeys) }
        let members = section?.node.members?.filter { RouteUpstreamReader.sandboxKeys.contains($0.key) } ?? []
        var (policy, problems) = PolicyReader().read(section: PolicyNode(.map(members), at: place))
        for index in problems.indices { problems[index].path = "\(path).\(problems[index].path)" }
        for problem in problems { add(problem) }
        if section?["limits"]?["memory"] == nil { policy.limits.memory = ChildSettings.memory }
        if section?["limits"]?["processes"] == nil { policy.limits.processes = ChildSettings.processes }
        return policy
    }

    private mutating func folder(_ route: Mapping) -> String? {
        guard let text = text(route, "folder"), let node = route["folder"] else { return nil }
        do throws(PolicyValueError) { return try HostPath(text).description } catch {
            add(node, route.path.key("folder"), error)
            return nil
        }
    }

    private mutating func secrets(_ route: Mapping, _ sandbox: Policy) -> [ChildSettings.Secret] {
        guard let node = route["env"] else { return [] }
        let path = route.path.key("env")
        guard let members = node.members else {
            add(node.place, path, "must be a mapping of names to files, not \(node.kind)")
            return []
        }
        var secrets: [ChildSettings.Secret] = []
        for member in members {
            do throws(PolicyValueError) { try VariableName.check(member.key) } catch {
                add(member.keyPlace, path.key(member.key), value: error.value, error.rule, error.remedy)
            }
            if sandbox.variables[member.key] != nil {
                add(member.keyPlace, path.key(member.key), "is set under sandbox.variables too", "keep one of both")
            }
            guard member.value.members != nil else {
                add(
                    member.value.place, path.key(member.key), "must be a mapping with \"file\", not \(member.value.kind)",
                    "put a secret in a file, and what is none under sandbox.variables")
                continue
            }
            let map = map(member.value, path.key(member.key), known: ["file"])
            secrets.append(.init(name: member.key, file: required(map, "file", "name the file that holds the value on its first line")))
        }
        return secrets
    }

    private mutating func sessions(_ route: Mapping) -> ChildSettings.Sessions {
        var sessions = ChildSettings.Sessions()
        guard let node = route["sessions"] else { return sessions }
        let map = map(node, route.path.key("sessions"), known: ["most", "per_caller", "idle_seconds"])
        sessions.most = number(map, "most", in: ChildSettings.Sessions.bounds) ?? sessions.most
        sessions.perCaller = min(number(map, "per_caller", in: ChildSettings.Sessions.bounds) ?? sessions.perCaller, sessions.most)
        sessions.idleSeconds = number(map, "idle_seconds", in: ChildSettings.Sessions.idleBounds) ?? sessions.idleSeconds
        return sessions
    }
}
