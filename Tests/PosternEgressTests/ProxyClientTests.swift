import Foundation
import NIOHTTP1
import PosternPolicy
import Testing

@testable import PosternEgress

/// Programs as they are, through the proxy, with the proxy variables that a sandbox has.
@Suite("Real clients of the egress proxy", .timeLimit(.minutes(3)))
struct ProxyClientTests {
    private static let value = "tok_9fGh2KqZ81mNpvX4abcd"

    private struct Scene: Sendable {
        let proxy: ProxyFixture
        let server: TestServer
        let host: String
        let environment: [String: String]
        let folder: String
        var placeholder: String { proxy.secrets[0].placeholder }

        func run(_ path: String, _ arguments: [String], input: String? = nil) async throws -> ForwardCommand.Result {
            try await ForwardCommand(path: path, arguments: arguments, environment: environment, input: input).run()
        }
    }

    private func withClients(
        _ answer: @escaping @Sendable (TestServer.Request) -> TestServer.Answer = { .init($0.text) },
        _ body: @escaping @Sendable (Scene) async throws -> Void
    ) async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["api.test"]), answer)
        let plain = try await TestServer.start()
        let host = "api.test:\(server.port)"
        var binding = SecretBinding(name: "key", hosts: [try HostPattern(host)])
        binding.schemes = [.bearer, .basic]
        var random = SystemRandomNumberGenerator()
        let placeholder = try #require(Placeholder.make(for: SecretValue(Self.value), using: &random))
        var setup = try ProxyFixture.Setup(#"[{"id":"api","hosts":["\#(host)","api.test:\#(plain.port)"]}]"#)
        setup.secrets = [try #require(BoundSecret(binding: binding, value: SecretValue(Self.value), placeholder: placeholder))]
        setup.roots = try authority.pem
        setup.names = ["api.test": ["127.0.0.1"]]
        let folder = NSTemporaryDirectory() + "postern-clients-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await ProxyFixture.run(setup) { proxy in
            let roots = "\(folder)/session-ca.pem"
            try proxy.certificate.write(toFile: roots, atomically: true, encoding: .utf8)
            var environment = [
                "CURL_CA_BUNDLE": roots, "GIT_SSL_CAINFO": roots, "REQUESTS_CA_BUNDLE": roots, "SSL_CERT_FILE": roots, "NODE_EXTRA_CA_CERTS": roots,
            ]
            environment["GIT_TERMINAL_PROMPT"] = "0"
            environment["PLAIN"] = "http://api.test:\(plain.port)"
            for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"] { environment[name] = proxy.url }
            try await body(Scene(proxy: proxy, server: server, host: host, environment: environment, folder: folder))
        }
        await server.stop()
        await plain.stop()
    }

    @Test("curl: HTTPS, plain HTTP, SOCKS5, uploads, refusals", .enabled(if: ForwardCommand.isInstalled("/usr/bin/curl")))
    func curl() async throws {
        try await withClients { scene in
            let url = "https://\(scene.host)"
            let get = try await scene.run("/usr/bin/curl", ["-sS", "-H", "Authorization: Bearer \(scene.placeholder)", "\(url)/x", "\(url)/y"])
            #expect(get.status == 0 && get.output.contains("GET /x") && get.output.contains("GET /y") && !get.output.contains(Self.value), "\(get)")
            #expect(scene.server.received.first?.head.headers["authorization"] == ["Bearer \(Self.value)"])
            let basic = try await scene.run("/usr/bin/curl", ["-sS", "-u", "user:\(scene.placeholder)", url])
            #expect(
                basic.status == 0
                    && scene.server.received.last?.text.contains(String(decoding: Base64.encode(Array("user:\(Self.value)".utf8)), as: UTF8.self))
                        == true
            )
            let upload = try await scene.run("/usr/bin/curl", ["-sS", "-T", "-", "\(url)/up"], input: String(repeating: "line\n", count: 100_000))
            #expect(upload.status == 0 && scene.server.received.last?.body.count == 500_000, "\(upload.errors)")
            let socks = try await scene.run(
                "/usr/bin/curl", ["-sS", "-x", scene.proxy.url.replacingOccurrences(of: "http://", with: "socks5h://"), "\(url)/socks"])
            #expect(socks.status == 0 && socks.output.contains("GET /socks"), "\(socks.errors)")
            let plain = try await scene.run("/usr/bin/curl", ["-sS", "\(scene.environment["PLAIN"] ?? "")/plain"])
            #expect(plain.output.contains("GET /plain"))
            let refused = try await scene.run("/usr/bin/curl", ["-sS", "-v", "https://denied.test/"])
            #expect(refused.status == 56 && refused.errors.contains("403 Forbidden by egress policy: no rule allows denied.test:443"))
            let telnet = try await scene.run("/usr/bin/curl", ["-sS", "-m", "5", "-p", "telnet://api.test:22"])
            #expect(telnet.status != 0)
            let untrusted = try await scene.run("/usr/bin/curl", ["-sS", "--cacert", "/etc/hostname", url])
            #expect(untrusted.status != 0)
        }
    }

    @Test("git clones over https with a placeholder for its password", .enabled(if: ForwardCommand.isInstalled("/usr/bin/git")))
    func git() async throws {
        let repository = NSTemporaryDirectory() + "postern-git-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: repository) }
        let made = try await ForwardCommand(
            path: "/bin/sh",
            arguments: [
                "-c",
                """
                git init -q -b main '\(repository)' && cd '\(repository)' && echo hello >file && git add file &&
                git -c user.name=t -c user.email=t@t commit -q -m one && git update-server-info
                """,
            ]
        ).run()
        #expect(made.status == 0, "\(made.errors)")
        // The dumb protocol: files of the repository, behind a password.
        try await withClients({ request in
            let expected = "Basic " + String(decoding: Base64.encode(Array("bot:\(Self.value)".utf8)), as: UTF8.self)
            guard request.head.headers["authorization"] == [expected] else {
                return .init("", status: .unauthorized, headers: ["www-authenticate": "Basic realm=\"git\""])
            }
            let path = request.head.uri.split(separator: "?")[0].replacingOccurrences(of: "/repo.git", with: "")
            guard let data = FileManager.default.contents(atPath: "\(repository)/.git\(path)") else { return .init("", status: .notFound) }
            var answer = TestServer.Answer()
            answer.body = Array(data)
            return answer
        }) { scene in
            let target = "\(scene.folder)/clone"
            let clone = try await scene.run("/usr/bin/git", ["clone", "-q", "https://bot:\(scene.placeholder)@\(scene.host)/repo.git", target])
            #expect(clone.status == 0, "\(clone.errors)")
            #expect(try String(contentsOfFile: "\(target)/file", encoding: .utf8) == "hello\n")
            #expect(try !String(contentsOfFile: "\(target)/.git/config", encoding: .utf8).contains(Self.value))
        }
    }

    @Test("Node, with a tunnel made by hand", .enabled(if: ForwardCommand.isInstalled("/usr/bin/node")))
    func node() async throws {
        try await withClients { scene in
            let (name, port) = ("api.test", scene.server.port)
            let script = """
                const http = require('http'), tls = require('tls'), https = require('https');
                const proof = 'Basic ' + Buffer.from('session:\(scene.proxy.token.text)').toString('base64');
                const request = http.request({host: '127.0.0.1', port: \(scene.proxy.port), method: 'CONNECT', path: '\(scene.host)',
                    headers: {'Proxy-Authorization': proof}});
                request.on('connect', (answer, socket) => {
                    const agent = new https.Agent({});
                    agent.createConnection = () => tls.connect({socket, servername: '\(name)'});
                    https.get({host: '\(name)', port: \(port), path: '/node', agent, headers: {authorization: 'Bearer \(scene.placeholder)'}}, (got) => {
                        got.on('data', (data) => process.stdout.write(String(data)));
                        got.on('end', () => process.exit(0));
                    });
                });
                request.end();
                """
            let result = try await scene.run("/usr/bin/node", ["-e", script])
            #expect(result.status == 0 && result.output.contains("GET /node") && !result.output.contains(Self.value), "\(result.errors)")
            #expect(scene.server.received.first?.head.headers["authorization"] == ["Bearer \(Self.value)"])
        }
    }

    private static let python = ["/usr/bin/python3", "/usr/local/bin/python3", "\(NSHomeDirectory())/.pyenv/shims/python3"].first { path in
        guard ForwardCommand.isInstalled(path) else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["-c", "import requests"]
        process.standardError = FileHandle.nullDevice
        try? process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    @Test("Python requests and urllib", .enabled(if: python != nil))
    func requests() async throws {
        try await withClients { scene in
            let script = """
                import requests, sys, urllib.request, ssl, os
                s = requests.Session()
                r = s.post("https://\(scene.host)/r", headers={"Authorization": "Bearer \(scene.placeholder)"}, json={"a": 1})
                print(r.status_code, r.text)
                print(s.get("https://\(scene.host)/again").status_code)
                r = s.put("https://\(scene.host)/gen", data=(b"x" * 1000 for _ in range(100)))
                print(r.status_code, len(r.text))
                try:
                    s.get("https://denied.test/")
                except requests.exceptions.ProxyError as e:
                    print("REFUSED", e)
                print(urllib.request.urlopen("https://\(scene.host)/u", context=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])).read().decode())
                """
            let result = try await scene.run(try #require(Self.python), ["-c", script])
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.output.contains("200 POST /r") && result.output.contains("GET /u") && !result.output.contains(Self.value))
            #expect(result.output.contains("REFUSED") && result.output.contains("no rule allows denied.test:443"))
            #expect(scene.server.received.first?.head.headers["authorization"] == ["Bearer \(Self.value)"])
            #expect(scene.server.received.contains { $0.head.uri == "/gen" && $0.body.count == 100_000 })
        }
    }
}
