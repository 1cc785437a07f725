import Foundation
import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// Who a client becomes, and which databases are trusted: against a real server, with psql.
@Suite(.enabled(if: ForwardPostgresCluster.isInstalled, "needs the packages postgresql and postgresql-client"), .timeLimit(.minutes(3)))
struct ForwardPostgresLoginTests {
    @Test func aClientWithoutCredentialIsTheRoleOfThePolicy() async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT current_user, current_database(), session_user")
            #expect(result.output == "app|shop|app\n", "\(result.errors)")
            #expect(running.audit.statements.map(\.keyword) == ["SELECT"])
            #expect(running.audit.statements.first?.text == "SELECT current_user, current_database(), session_user")
            let outcome = try #require(await running.audit.nextEnd())
            #expect(outcome.end == .client && outcome.statements == 1 && outcome.errors == 0 && outcome.sent > 0 && outcome.received > 0)
        }
    }

    @Test func theUpstreamIsEncrypted() async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            #expect(result.output == "t|TLSv1.3\n", "\(result.errors)")
        }
    }

    @Test(arguments: ["postgres", "app_md5", "app_clear"])
    func aClientsOwnNameAndPasswordAreNotPassedOn(_ user: String) async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT current_user", ["-U", user], environment: ["PGPASSWORD": "guess"])
            #expect(result.output == "app\n", "\(result.errors)")
        }
    }

    @Test func anotherDatabaseIsRefusedByName() async throws {
        try await withForward { running, _ in
            let result = try await running.psql("SELECT 1", ["-d", "other"])
            #expect(result.status != 0)
            #expect(result.errors.contains("leads to one database") && result.errors.contains("\"shop\""), "\(result.errors)")
            #expect(running.dialer.dialled.isEmpty)
            let answer = try await running.psql("SELECT current_database()", ["-d", "shop"])
            #expect(answer.output == "shop\n", "\(answer.errors)")
        }
    }

    @Test func dangerousStartupParametersAreDropped() async throws {
        try await withForward { running, _ in
            let result = try await running.psql(
                "SHOW work_mem; SHOW application_name", ["dbname=shop replication=database options='-c work_mem=77MB' application_name=probe"])
            #expect(result.output == "4MB\nprobe\n", "\(result.errors)")
            #expect(
                running.audit.all.contains {
                    $0 == .intent(.connect(dropped: ["replication", "options"]), connection: 1)
                        || $0 == .intent(.connect(dropped: ["options", "replication"]), connection: 1)
                })
        }
        var options = PostgresForward.Options()
        options.extraParameters = ["options"]
        try await withForward(options: options) { running, _ in
            let answer = try await running.psql("SHOW work_mem", ["dbname=shop options='-c work_mem=77MB'"])
            #expect(answer.output == "77MB\n", "\(answer.errors)")
        }
    }

    @Test func aWrongAuthorityEndsTheConnection() async throws {
        let stranger = try ForwardAuthority("stranger").pem
        try await withForward(authority: stranger) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("certificate") && result.errors.contains("ca_file"), "\(result.errors)")
            #expect(running.audit.statements.isEmpty)
        }
    }

    @Test func aWrongHostNameEndsTheConnection() async throws {
        try await withForward(host: "other.internal") { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("certificate"), "\(result.errors)")
        }
    }

    @Test func aWrongPasswordIsTheDatabasesRefusal() async throws {
        try await withForward(password: SecretValue("wrong")) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("password authentication failed for user \"app\""), "\(result.errors)")
            #expect(!result.errors.contains("wrong\""))
        }
    }

    @Test(arguments: [("app_md5", "MD5"), ("app_clear", "cleartext"), ("app_open", "without asking for its password")])
    func weakLoginsAreRefused(_ role: String, _ word: String) async throws {
        try await withForward(role: role) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains(word), "\(result.errors)")
            #expect(!result.errors.contains(ForwardPostgresCluster.password))
        }
    }

    @Test func withoutTLSOnlyWherePolicySaysSo() async throws {
        try await withForward(role: "app_plain", tls: .disable) { running, _ in
            let answer = try await running.psql("SELECT current_user")
            #expect(answer.output == "app_plain\n", "\(answer.errors)")
        }
        try await withForward(role: "app_plain") { running, _ in
            let answer = try await running.psql("SELECT current_user")
            #expect(answer.status != 0, "\(answer.errors)")
        }
    }

    @Test func aMissingPasswordFailsClosed() async throws {
        try await withForward(password: nil) { running, _ in
            let result = try await running.psql("SELECT 1")
            #expect(result.status != 0 && result.errors.contains("the forward has none"), "\(result.errors)")
        }
    }
}
