import PosternConnector
import PosternPolicy
import PosternTunnelWire
import Testing

@Suite("The connector's document")
struct ConnectorConfigurationTests {
    static let good = """
        tunnel:
          id: tnl_1
          workspace_id: wrkspc_1
          domain: ab12cd34.tunnel.example.com
        edges:
          addresses: [edge.example.com, "[::1]:8443"]
          name: tunnel.example.com
        identity:
          key_file: connector.key
          certificate_file: connector.pem
        server_certificate:
          certificate_file: server.pem
          key_file: server.key
        runtime_authority:
          certificate_file: runtime-ca.pem
        routes:
          docs:
            upstream: http://10.0.0.7:8080
            callers: {clients: [laptop], agents: [agent_1]}
            headers:
              Authorization: {file: token}
          open:
            upstream: https://mcp.internal:8443
            callers: {any: true}
            addresses: [127.0.0.0/8, "::1/128"]
            host: keep
            ca_file: internal.pem

        """

    private static func read(_ text: String) throws(PolicyProblems) -> ConnectorConfiguration {
        try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "Host_1.example")
    }

    private static func problems(_ text: String) -> [String] {
        do throws(PolicyProblems) {
            _ = try read(text)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test("is read with its defaults")
    func reading() throws {
        let configuration = try Self.read(Self.good)
        #expect(configuration.legs == 4 && configuration.name == "host1.example" && configuration.auditFile == nil)
        #expect(configuration.edges.addresses.map(\.description) == ["edge.example.com:443", "[::1]:8443"])
        let docs = try #require(configuration.routes["docs"])
        #expect(docs.upstream.description == "http://10.0.0.7:8080" && docs.host == .rewrite && docs.headers.map(\.name) == ["Authorization"])
        #expect(docs.addresses.allowed == UpstreamAddresses.privateNetworks)
        let open = try #require(configuration.routes["open"])
        #expect(open.upstream.isTLS && open.host == .keep && open.callers.any && open.addresses.allowed.count == 2)
    }

    @Test("unknown keys are refused with line, column and what was meant")
    func unknownKeys() {
        #expect(
            Self.problems(Self.good.replacing("    host: keep", with: "    hots: keep"))
                == ["connector.yaml:26:5: error: routes.open.hots: is no known key here; did you mean \"host\"?"])
        #expect(
            Self.problems(Self.good.replacing("edges:", with: "edge:")).contains { $0.hasPrefix("connector.yaml:5:1: error: edge: is no known key") })
        #expect(Self.problems(Self.good + "listen: 1\n").contains { $0.contains(":28:1: error: listen") || $0.contains("error: listen") })
    }

    @Test(
        "what does not fit is refused",
        arguments: [
            ("http://10.0.0.7:8080", "10.0.0.7:8080", "must begin with http://, https:// or unix:"),
            ("http://10.0.0.7:8080", "http://10.0.0.7", "lacks a port"),
            ("http://10.0.0.7:8080", "http://10.0.0.7:8080/mcp", "port is a number"),
            ("http://10.0.0.7:8080", "http://u:p@10.0.0.7:8080", "port is a number"),
            ("  docs:", "  do.cs:", "one label"), ("  docs:", "  Docs:", "one label"), ("Authorization: {", "Host: {", "connector's to set"),
            ("Authorization: {", "transfer_encoding: {", "connector's to set"), ("Authorization: {", "\"a b\": {", "no name of a header"),
            ("{any: true}", "{any: true, clients: [a]}", "beside \"any\""), ("{any: true}", "everybody", "must be a mapping"),
            ("127.0.0.0/8", "127.0.0.1/8", "beyond its prefix"), ("host: keep", "host: both", "must be one of rewrite, keep"),
            ("ab12cd34.tunnel.example.com", "AB.example.com", "host name in lower case"), ("  id: tnl_1\n", "", "tunnel.id: is missing"),
            ("addresses: [edge.example.com, \"[::1]:8443\"]", "addresses: []", "list at least one address"),
        ])
    func refusals(old: String, new: String, rule: String) {
        let problems = Self.problems(Self.good.replacing(old, with: new))
        #expect(problems.contains { $0.contains(rule) }, "\(problems)")
    }

    @Test("the way through a corporate proxy is read, and no password in its URL")
    func proxy() throws {
        func text(_ proxy: String) -> String {
            Self.good.replacing("  name: tunnel.example.com\n", with: "  name: tunnel.example.com\n  proxy: \(proxy)\n")
        }
        let plain = try #require(try Self.read(text("{url: \"http://proxy.corp:3128/\", secret_file: proxy.secret}")).edges.proxy)
        #expect(plain.description == "http://proxy.corp:3128" && !plain.isTLS && plain.secretFile == "proxy.secret" && plain.caFile == nil)
        let sealed = try #require(try Self.read(text("{url: \"https://[fd00::1]:443\", ca_file: corp.pem}")).edges.proxy)
        #expect(sealed.description == "https://[fd00::1]:443" && sealed.isTLS && sealed.caFile == "corp.pem")
        for (proxy, rule) in [
            ("{url: \"socks5://proxy.corp:1080\"}", "must be a proxy's URL"), ("{url: \"http://proxy.corp\"}", "lacks a port"),
            ("{url: \"http://u:CANARY@proxy.corp:1\"}", "no user name and no password"), ("{secret_file: a}", "edges.proxy.url: is missing"),
            ("{url: \"http://proxy.corp:1\", ca_file: a}", "needs a proxy with https"),
            ("{url: \"http://proxy.corp:1\", password: CANARY}", "is no known key here"), ("http://proxy.corp:1", "must be a mapping"),
        ] {
            let problems = Self.problems(text(proxy))
            #expect(problems.contains { $0.contains(rule) } && !"\(problems)".contains("CANARY"), "\(rule): \(problems)")
        }
    }

    @Test("nobody may call a route that names no callers")
    func callers() throws {
        let text = Self.good.replacing("    callers: {clients: [laptop], agents: [agent_1]}\n", with: "")
        let callers = try #require(try Self.read(text).routes["docs"]).callers
        #expect(callers.isNobody)
        func identity(client: String? = nil, agent: String? = nil, session: String? = nil) -> RuntimeIdentity {
            RuntimeIdentity(tunnelID: "tnl_1", workspaceID: "wrkspc_1", agentID: agent, sessionID: session, client: client)
        }
        #expect(!callers.allow(identity(client: "laptop")) && !callers.allow(identity()))
        let named = try #require(try Self.read(Self.good).routes["docs"]).callers
        #expect(named.allow(identity(client: "laptop")) && named.allow(identity(agent: "agent_1")))
        #expect(!named.allow(identity(client: "agent_1")) && !named.allow(identity(agent: "laptop")) && !named.allow(identity(session: "laptop")))
    }
}

@Suite("Addresses of upstreams")
struct UpstreamAddressTests {
    private static func dials(_ addresses: UpstreamAddresses, _ text: String) throws -> Bool {
        addresses.refusal(of: try #require(IPAddress(text))) == nil
    }

    @Test("private networks are dialled, and nothing else, unless named")
    func byDefault() throws {
        let addresses = UpstreamAddresses()
        for text in ["10.1.2.3", "172.16.0.1", "192.168.3.4", "fd12::1", "::ffff:10.0.0.1"] { #expect(try Self.dials(addresses, text), "\(text)") }
        for text in [
            "127.0.0.1", "::1", "169.254.1.1", "169.254.169.254", "fe80::1", "8.8.8.8", "2001:4860::8888", "0.0.0.0", "224.0.0.1", "fd00:ec2::254",
        ] {
            #expect(try !Self.dials(addresses, text), "\(text)")
        }
    }

    @Test("what is named stands instead, and a block lifts no metadata service")
    func named() throws {
        let addresses = UpstreamAddresses(allowed: try ["127.0.0.1/32", "::1/128", "169.254.0.0/16", "8.8.8.8"].map { try AddressRange($0) })
        for text in ["127.0.0.1", "::1", "169.254.1.1", "8.8.8.8"] { #expect(try Self.dials(addresses, text), "\(text)") }
        for text in ["127.0.0.2", "10.0.0.1", "169.254.169.254", "::7f00:1", "64:ff9b::127.0.0.1"] {
            #expect(try !Self.dials(addresses, text), "\(text)")
        }
    }
}
