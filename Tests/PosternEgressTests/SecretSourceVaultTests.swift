import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import PosternJSON
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// Reading secrets from Vault: engines, logins, renewal, and everything that fails.
@Suite(.timeLimit(.minutes(1))) struct SecretSourceVaultTests {
    /// A clock that a test moves, and files by name.
    private final class World: Sendable {
        let time = Mutex(0.0)
        let files = Mutex<[String: String]>(["/token": "t-file", "/role": "role", "/secret": "secret"])

        func client(
            _ vault: SecretSourceVaultDouble, _ login: VaultSource.Login, namespace: String? = nil, scheme: String = "http",
            authorities: [UInt8]? = nil
        )
            throws -> VaultClient
        {
            let host = scheme == "https" ? "localhost" : "127.0.0.1"
            let source = VaultSource(address: "\(scheme)://\(host):\(vault.port)", path: "", field: "", login: login, namespace: namespace)
            return try VaultClient(
                VaultAccount(source), authorities: authorities, group: .singletonMultiThreadedEventLoopGroup,
                readFile: { path throws(SecretSourceError) in
                    guard let text = self.files.withLock({ $0[path] }) else {
                        throw SecretSourceError("file \(path)", "there is no such file", remedy: "make it")
                    }
                    return SecretValue(text)
                }, now: { self.time.withLock { $0 } })
        }
    }

    private static let appRole = VaultSource.Login.appRole(roleIDFile: "/role", secretIDFile: "/secret")

    private func withVault(tls: NIOSSLContext? = nil, _ body: @escaping @Sendable (SecretSourceVaultDouble, World) async throws -> Void) async throws
    {
        let vault = try SecretSourceVaultDouble()
        vault.change {
            $0.tokens = ["t-file": 3_600, "t-1": 100, "t-2": 100, "t-3": 100]
            $0.nextTokens = ["t-1", "t-2", "t-3"]
            $0.secrets = [
                "kv/db": ["password": "one", "port": 5432, "empty": "", "list": []],
                "secret/data/team/db": ["data": ["password": "two"], "metadata": ["version": 3]],
                "secret/data/gone": ["data": .null, "metadata": ["version": 3, "deletion_time": "2026-01-01T00:00:00Z"]],
            ]
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await vault.run(tls: tls) }
            try await body(vault, World())
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    @Test func bothVersionsOfTheEngine() async throws {
        try await withVault { vault, world in
            let client = try world.client(vault, .tokenFile("/token"), namespace: "team/a")
            #expect(try await client.read(path: "kv/db", field: "password").value.text == "one")
            #expect(try await client.read(path: "kv/db", field: "port").value.text == "5432")
            #expect(try await client.read(path: "secret/data/team/db", field: "password").value.text == "two")
            #expect(vault.seen.allSatisfy { $0.namespace == "team/a" && $0.token == "t-file" })
            // One look at the token, then three reads.
            #expect(vault.seen.map(\.target) == ["/v1/auth/token/lookup-self", "/v1/kv/db", "/v1/kv/db", "/v1/secret/data/team/db"])
        }
    }

    @Test func whatIsNotThereIsNamed() async throws {
        try await withVault { vault, world in
            let client = try world.client(vault, .tokenFile("/token"))
            for (path, field, word) in [
                ("kv/db", "user", "no field \"user\""), ("kv/db", "empty", "is empty"), ("kv/db", "list", "array"),
                ("kv/none", "x", "nothing at the path"),
                ("secret/data/gone", "password", "deleted"), ("kv/../sys", "x", "not one of Vault's"), ("/kv/db", "x", "not one of"),
                ("kv/db?x", "x", "not one of"),
                ("", "x", "not one of"), ("kv/%2e%2e/sys", "x", "not one of"),
            ] {
                let error = await #expect(throws: SecretSourceError.self) { try await client.read(path: path, field: field) }
                #expect(error?.description.contains(word) == true, "\(path) \(field): \(error?.description ?? "")")
                #expect(error?.description.contains("t-file") == false)
            }
            #expect(vault.seen.allSatisfy { !$0.target.contains("sys") })
        }
    }

    @Test func anAppRoleLogsInRenewsAndLogsInAgain() async throws {
        try await withVault { vault, world in
            let client = try world.client(vault, Self.appRole)
            func read() async throws { #expect(try await client.read(path: "kv/db", field: "password").value.text == "one") }
            try await read()
            try await read()
            #expect(vault.seen.map(\.target) == ["/v1/auth/approle/login", "/v1/kv/db", "/v1/kv/db"])
            // After two thirds of the lease it is renewed, with the same token.
            world.time.withLock { $0 = 67 }
            try await read()
            #expect(vault.seen.suffix(2).map(\.target) == ["/v1/auth/token/renew-self", "/v1/kv/db"] && vault.seen.last?.token == "t-1")
            // A renewal that is refused becomes a login.
            world.time.withLock { $0 = 140 }
            vault.change { $0.isRenewable = false }
            try await read()
            #expect(
                vault.seen.suffix(3).map(\.target) == ["/v1/auth/token/renew-self", "/v1/auth/approle/login", "/v1/kv/db"]
                    && vault.seen.last?.token == "t-2")
            // A token that ran out is not tried.
            world.time.withLock { $0 = 1_000 }
            try await read()
            #expect(vault.seen.suffix(2).map(\.target) == ["/v1/auth/approle/login", "/v1/kv/db"] && vault.seen.last?.token == "t-3")
        }
    }

    @Test func aRevokedTokenIsReplacedOnce() async throws {
        try await withVault { vault, world in
            let client = try world.client(vault, Self.appRole)
            _ = try await client.read(path: "kv/db", field: "password")
            vault.change { $0.tokens["t-1"] = nil }
            _ = try await client.read(path: "kv/db", field: "password")
            #expect(vault.seen.last?.token == "t-2")
            // Denied for good: one new login, no loop.
            vault.change { $0.tokens = [:] }
            await #expect(throws: SecretSourceError.self) { try await client.read(path: "kv/db", field: "password") }
            #expect(vault.seen.count < 12)
        }
    }

    @Test func aTokenFileIsReadAgainAfterADenial() async throws {
        try await withVault { vault, world in
            let client = try world.client(vault, .tokenFile("/token"))
            _ = try await client.read(path: "kv/db", field: "password")
            vault.change { $0.tokens = ["rotated": 3_600] }
            world.files.withLock { $0["/token"] = "rotated" }
            #expect(try await client.read(path: "kv/db", field: "password").value.text == "one")
        }
    }

    @Test func aWrongLoginSaysSoWithoutTheSecretID() async throws {
        try await withVault { vault, world in
            world.files.withLock { $0["/secret"] = "hunter2" }
            let client = try world.client(vault, Self.appRole)
            let error = await #expect(throws: SecretSourceError.self) { try await client.read(path: "kv/db", field: "password") }
            #expect(error?.description.contains("invalid role or secret ID") == true && error?.description.contains("hunter2") == false)
        }
    }

    @Test(arguments: [(503, true), (500, true), (429, true), (473, true), (403, false), (404, false), (307, false)])
    func failuresAreTemporaryOrNot(_ status: Int, _ isTemporary: Bool) async throws {
        try await withVault { vault, world in
            let client = try world.client(vault, .tokenFile("/token"))
            _ = try await client.read(path: "kv/db", field: "password")
            vault.change { $0.faults = [(status, #"{"errors":["Vault is sealed"]}"#), (status, "{}"), (status, "{}")] }
            let error = await #expect(throws: SecretSourceError.self) { try await client.read(path: "kv/db", field: "password") }
            #expect(error?.isTemporary == isTemporary)
        }
    }

    @Test func answersThatAreNoneAreErrors() async throws {
        try await withVault { vault, world in
            let client = try world.client(vault, .tokenFile("/token"))
            _ = try await client.read(path: "kv/db", field: "password")
            for body in ["", "<html>", "[]", #"{"data":"x"}"#, #"{"data":null}"#] {
                vault.change { $0.faults = [(200, body)] }
                await #expect(throws: SecretSourceError.self, "\(body)") { try await client.read(path: "kv/db", field: "password") }
            }
            vault.change { $0.faults = [(200, String(repeating: "x", count: VaultExchange.longestAnswer + 1))] }
            await #expect(throws: SecretSourceError.self) { try await client.read(path: "kv/db", field: "password") }
            vault.change { $0.isSilent = true }
            let error = await #expect(throws: SecretSourceError.self) { try await client.read(path: "kv/db", field: "password") }
            #expect(error?.isTemporary == true)
        }
    }

    @Test func plainHTTPIsForLoopbackOnly() throws {
        for address in ["http://vault.internal:8200", "ftp://127.0.0.1", "vault", "https://", "https://a b", "http://10.0.0.1"] {
            let source = VaultSource(address: address, path: "p", field: "f", login: .tokenFile("/token"))
            #expect(throws: SecretSourceError.self, "\(address)") { try VaultAccount(source).endpoint() }
        }
        let source = VaultSource(address: "https://vault.internal/", path: "p", field: "f", login: .tokenFile("/token"))
        #expect(try VaultAccount(source).endpoint().authority.description == "vault.internal:8200")
    }

    @Test func aStrangersCertificateGetsNoToken() async throws {
        let (good, stranger) = (try ForwardAuthority("good"), try ForwardAuthority("stranger"))
        for (names, trusted, works) in [(["localhost"], good, true), (["localhost"], stranger, false), (["other.internal"], good, false)] {
            let server = try good.server(names)
            let context = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: [.certificate(try NIOSSLCertificate(bytes: Array(server.certificate.utf8), format: .pem))],
                    privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(server.key.utf8), format: .pem))))
            let pem = Array(try trusted.pem.utf8)
            try await withVault(tls: context) { vault, world in
                let client = try world.client(vault, .tokenFile("/token"), scheme: "https", authorities: pem)
                if works {
                    #expect(try await client.read(path: "kv/db", field: "password").value.text == "one")
                } else {
                    let error = await #expect(throws: SecretSourceError.self) { try await client.read(path: "kv/db", field: "password") }
                    #expect(error?.remedy.contains("ca_file") == true, "\(error?.description ?? "")")
                    #expect(vault.seen.isEmpty)
                }
            }
        }
    }
}
