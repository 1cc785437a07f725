import Foundation
import PosternConnector
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

@Suite("Keys and certificates of a connector")
struct ConnectorMaterialTests {
    private static let domain = "ab12cd34.tunnel.example.com"
    private static let now = Date(timeIntervalSince1970: 1_800_000_000)

    /// The files of a good setup, by name.
    private static func files() throws -> [String: String] {
        let authority = try ConnectorCertificates.authority(domain: domain, now: now)
        let server = try ConnectorCertificates.server(domain: domain, authority: authority, now: now)
        let connector = try ConnectorCertificates.connector(now: now)
        let runtimes = try RuntimeAuthority.make(workspaceID: "wrkspc_1", notBefore: now, notAfter: now.addingTimeInterval(3600))
        return [
            "connector.key": connector.keyPEM, "connector.pem": connector.certificatePEM, "server.key": server.keyPEM,
            "server.pem": server.certificatePEM,
            "runtime-ca.pem": try runtimes.certificatePEM, "token": "Bearer x\n", "internal.pem": authority.certificatePEM,
            "ca.pem": authority.certificatePEM,
        ]
    }

    private static func problem(_ files: [String: String], at time: Date = now) throws -> String? {
        let configuration = try ConnectorConfiguration(text: ConnectorConfigurationTests.good, file: "connector.yaml", hostName: "h")
        do {
            _ = try ConnectorMaterial(configuration, now: time) { path, _ in files[path] }
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("what setup makes is good, and keeps the rules of the API")
    func made() throws {
        let files = try Self.files()
        #expect(try Self.problem(files) == nil)
        let pem = try #require(files["ca.pem"])
        let authority = try AuthorityRules.check(pem: pem, now: Self.now)
        #expect(try ConnectorCertificates.fingerprint(certificatePEM: pem) == authority.fingerprint)
        let server = try Certificate(pemEncoded: try #require(files["server.pem"]))
        try ServerCertificateRules.check(leaf: server, authorities: [authority], host: "docs.\(Self.domain)", now: Self.now)
        #expect(throws: CertificateRuleError.self) {
            try ServerCertificateRules.check(leaf: server, authorities: [authority], host: "docs.zz.tunnel.example.com", now: Self.now)
        }
    }

    @Test("files that do not belong together are refused")
    func mismatches() throws {
        let (files, other) = (try Self.files(), try Self.files())
        for (name, rule) in [
            ("connector.key", "not for the key"), ("connector.pem", "not for the key"), ("server.key", "not for the key"),
            ("server.pem", "not for the key"),
        ] {
            let problem = try Self.problem(files.merging([name: other[name] ?? ""]) { $1 })
            #expect(problem?.contains(rule) == true, "\(name): \(problem ?? "taken")")
        }
        for name in ["connector.key", "connector.pem", "server.key", "server.pem", "runtime-ca.pem", "internal.pem", "token"] {
            var fewer = files
            fewer[name] = nil
            #expect(try Self.problem(fewer)?.contains("\(name) is not there") == true, "\(name)")
            #expect(try Self.problem(files.merging([name: ""]) { $1 }) != nil, "\(name)")
        }
        #expect(try Self.problem(files, at: Self.now.addingTimeInterval(91 * 86_400))?.contains("is not valid now") == true)
        #expect(try Self.problem(files, at: Self.now.addingTimeInterval(-7200))?.contains("is not valid now") == true)
        let authority = try ConnectorCertificates.authority(domain: "zz.tunnel.example.com", now: Self.now)
        let foreign = try ConnectorCertificates.server(domain: "zz.tunnel.example.com", authority: authority, now: Self.now)
        let problem = try Self.problem(files.merging(["server.pem": foreign.certificatePEM, "server.key": foreign.keyPEM]) { $1 })
        #expect(problem?.contains("is neither for *.\(Self.domain)") == true)
    }

    @Test("a client certificate for an upstream is read with its key, and held against it and the time")
    func clientCertificate() throws {
        let (files, other) = (try Self.files(), try Self.files())
        let text = ConnectorConfigurationTests.good.replacing(
            "    ca_file: internal.pem\n",
            with: "    ca_file: internal.pem\n    client_certificate: {certificate_file: client.pem, key_file: client.key}\n")
        let configuration = try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "h")
        func problem(_ certificate: String?, _ key: String?) -> String? {
            var all = files
            (all["client.pem"], all["client.key"]) = (certificate, key)
            do {
                _ = try ConnectorMaterial(configuration, now: Self.now) { [all] path, _ in all[path] }
                return nil
            } catch {
                return "\(error)"
            }
        }
        #expect(problem(files["connector.pem"], files["connector.key"]) == nil)
        #expect(problem(files["connector.pem"], other["connector.key"])?.contains("client.pem is not for the key in client.key") == true)
        #expect(problem(files["connector.pem"], nil)?.contains("client.key is not there") == true)
        #expect(problem(nil, files["connector.key"])?.contains("client.pem is not there") == true)
        #expect(problem("x", files["connector.key"]) != nil && problem(files["connector.pem"], "x") != nil)
    }

    @Test("an injected value that is too short to be masked is refused, unless it is said to be no secret")
    func shortHeaders() throws {
        let files = try Self.files().merging(["token": "abc\n"]) { $1 }
        #expect(try Self.problem(files)?.contains("could not be masked") == true)
        #expect(try Self.problem(files)?.contains("abc") == false)
        let text = ConnectorConfigurationTests.good.replacing("{file: token}", with: "{file: token, mask: false}")
        let configuration = try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "h")
        _ = try ConnectorMaterial(configuration, now: Self.now) { path, _ in files[path] }
    }

    @Test("nothing prints a key or a token")
    func secrecy() throws {
        let files = try Self.files()
        let configuration = try ConnectorConfiguration(text: ConnectorConfigurationTests.good, file: "connector.yaml", hostName: "h")
        let material = try ConnectorMaterial(configuration, now: Self.now) { path, _ in files[path] }
        for text in ["\(material)", String(reflecting: material), "\(Mirror(reflecting: material).children.map { "\($0)" })"] {
            #expect(!text.contains("PRIVATE") && !text.contains("Bearer"))
        }
        do {
            let broken = files.merging(["connector.key": "CANARY"]) { $1 }
            _ = try ConnectorMaterial(configuration, now: Self.now) { path, _ in broken[path] }
        } catch { #expect(!"\(error)".contains("CANARY")) }
    }
}
