import Foundation
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// A real PostgreSQL of the tests' own: its folder is temporary, its user is not root, and it ends with the test process, however that ends.
final class ForwardPostgresCluster: Sendable {
    static let programs: String? = {
        let base = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        guard let newest = versions.max(by: { (Int($0) ?? 0) < (Int($1) ?? 0) }) else { return nil }
        return ForwardCommand.isInstalled("\(base)/\(newest)/bin/initdb") ? "\(base)/\(newest)/bin" : nil
    }()
    static let isInstalled = programs != nil && ForwardCommand.isInstalled("/usr/bin/psql")

    static let password = "correct horse, battery=staple"
    private static let started = Task { try await ForwardPostgresCluster() }
    static var shared: ForwardPostgresCluster { get async throws { try await started.value } }

    let folder: String
    let port: Int
    /// Chains to the certificate of the server, whose name is `db.internal`.
    let authority: ForwardAuthority
    /// The watchdog reads its end until this process is gone.
    private let leash: Int32
    private let watchdog: Process

    private init() async throws {
        let programs = try #require(Self.programs)
        let folder = NSTemporaryDirectory() + "postern-pg-\(UUID().uuidString.prefix(8))"
        let authority = try ForwardAuthority("test authority")
        let port = try Self.freePort()
        (self.folder, self.authority, self.port) = (folder, authority, port)
        let data = "\(folder)/data"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let isRoot = getuid() == 0
        if isRoot {
            let user = try #require(getpwnam("postgres"))
            chown(folder, user.pointee.pw_uid, user.pointee.pw_gid)
        }
        let asUser = isRoot ? ["/usr/bin/setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] : []
        func command(_ words: [String], input: String? = nil) -> ForwardCommand {
            let all = asUser + words
            return ForwardCommand(path: all[0], arguments: Array(all.dropFirst()), environment: ["HOME": folder], input: input)
        }
        let made = try await command(["\(programs)/initdb", "-D", data, "-U", "postgres", "--no-sync", "-A", "trust", "-E", "UTF8"]).run()
        guard made.status == 0 else { throw Failure(text: made.errors) }

        let server = try authority.server(["db.internal"])
        let files = [
            "server.crt": server.certificate, "server.key": server.key,
            "pg_hba.conf": """
            local all all trust
            hostssl all app 127.0.0.1/32 scram-sha-256
            hostssl all app_md5 127.0.0.1/32 md5
            hostssl all app_clear 127.0.0.1/32 password
            hostssl all app_open 127.0.0.1/32 trust
            hostnossl all app_plain 127.0.0.1/32 scram-sha-256
            """,
            "postgresql.auto.conf": """
            listen_addresses = '127.0.0.1'
            port = \(port)
            unix_socket_directories = '\(folder)'
            ssl = on
            fsync = off
            max_connections = 40
            shared_buffers = 16MB
            password_encryption = 'scram-sha-256'
            """,
        ]
        for (name, text) in files {
            // Written by the server's user, who must own its key.
            let written = try await command(["/bin/sh", "-c", "umask 077; cat > \"$0\"", "\(data)/\(name)"], input: text + "\n").run()
            guard written.status == 0 else { throw Failure(text: written.errors) }
        }

        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0, fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0, fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0 else {
            throw Failure(text: "no pipe")
        }
        leash = ends[1]
        watchdog = Process()
        let script = "\"$0\" -D \"$1\" >\"$2/log\" 2>&1 & P=$!; cat >/dev/null; kill -INT $P; wait $P; rm -rf \"$2\""
        let words = asUser + ["/bin/sh", "-c", script, "\(programs)/postgres", data, folder]
        watchdog.executableURL = URL(fileURLWithPath: words[0])
        watchdog.arguments = Array(words.dropFirst())
        watchdog.standardInput = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
        try watchdog.run()

        // `pg_isready` is the server's own word for it.
        let ready = try await ForwardCommand(
            path: "/bin/sh",
            arguments: [
                "-c", "for i in $(seq 600); do \"$0\" -q -h \"$1\" -p \"$2\" && exit 0; sleep 0.05; done; exit 1", "\(programs)/pg_isready", folder,
                "\(port)",
            ]
        ).run()
        guard ready.status == 0 else { throw Failure(text: (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? "not ready") }
        let password = Self.password.replacingOccurrences(of: "'", with: "''")
        try await administer(
            """
            CREATE ROLE app LOGIN PASSWORD '\(password)'; CREATE ROLE app_plain LOGIN PASSWORD '\(password)';
            CREATE ROLE app_clear LOGIN PASSWORD '\(password)'; CREATE ROLE app_open LOGIN;
            SET password_encryption = 'md5'; CREATE ROLE app_md5 LOGIN PASSWORD '\(password)';
            """)
        for database in ["shop", "other"] { try await administer("CREATE DATABASE \(database) OWNER app") }
    }

    struct Failure: Error { var text: String }

    /// Runs SQL as the superuser over the server's own socket; the answer without alignment.
    @discardableResult
    func administer(_ sql: String, database: String = "postgres") async throws -> String {
        let result = try await ForwardCommand(
            path: "/usr/bin/psql",
            arguments: ["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", "\(port)", "-U", "postgres", "-d", database],
            input: sql
        ).run()
        guard result.status == 0 else { throw Failure(text: result.errors) }
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func freePort() throws -> Int {
        let descriptor = try ForwardSockets.listen()
        defer { close(descriptor) }
        return try ForwardSockets.port(of: descriptor)
    }
}
