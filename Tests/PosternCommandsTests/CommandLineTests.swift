import Foundation
import Testing

@testable import PosternCommands

/// Tests that start processes, one after the other: a child that starts while another test's pipe is open inherits it and keeps it open.
@Suite(.serialized, .enabled(if: BuiltPostern.path != nil, "postern is not built"), .timeLimit(.minutes(2)))
enum ProcessTests {}

extension ProcessTests {
    /// The built program: exit statuses, the first start, and what becomes of secrets.
    @Suite final class CommandLineTests {
        private let folder: URL

        init() throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("postern-tests-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(at: folder) }

        private func run(_ arguments: [String], _ environment: [String: String] = [:]) async throws -> (output: String, status: Int32) {
            try await BuiltPostern(arguments, environment: environment, folder: folder).finished()
        }

        private func serve(_ data: String, _ environment: [String: String] = [:]) throws -> BuiltPostern {
            try BuiltPostern(
                ["serve", "--listen", "127.0.0.1:0", "--data", data, "--model-base-url", "http://127.0.0.1:9"], environment: environment,
                folder: folder)
        }

        @Test(arguments: [
            (["--version"], CommandStatus.success), (["agents", "creat"], .usage), (["worker", "poll", "--environment-key", "ek"], .usage),
            (["agents", "list"], .refused), (["serve", "--listen", "0.0.0.0:0", "--model-base-url", "http://127.0.0.1:9"], .configuration),
            (["serve"], .configuration),
            (["store", "backup", "--data", "nowhere", "copy.sqlite"], .failure),
            (["sandbox", "run", "--env", "POSTERN_X=1", "--", "true"], .sandboxFailed),
        ])
        func commandsEndWithTheDocumentedStatus(arguments: [String], status: CommandStatus) async throws {
            let (output, ended) = try await run(arguments)
            #expect(ended == status.rawValue, "\(arguments): \(output)")
        }

        @Test func aServerThatDoesNotAnswerIsUnavailable() async throws {
            let (output, status) = try await run(["agents", "list", "--base-url", "http://127.0.0.1:9"], ["POSTERN_API_KEY": "k"])
            #expect(status == CommandStatus.unavailable.rawValue)
            #expect(output.contains("POSTERN_BASE_URL"))
        }

        @Test func theAdminKeyIsShownOnceAndKept() async throws {
            let first = try serve("data")
            let key = try #require(await first.line(containing: "sk-postern-api-"))
            let listening = try #require(await first.line(containing: "Postern is listening on "))
            let url = String(try #require(listening.split(separator: " ").last))
            let (output, status) = try await run(["agents", "list", "--base-url", url], ["POSTERN_API_KEY": key])
            #expect(status == 0, "\(output)")
            let attributes = try FileManager.default.attributesOfItem(atPath: folder.appendingPathComponent("data/admin.key").path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            let twin = try await serve("data").finished()
            #expect(twin.status == CommandStatus.failure.rawValue && twin.output.contains("in use"))
            first.terminate()
            #expect(await first.finished().status == 0)

            let second = try serve("data")
            _ = try #require(await second.line(containing: "Postern is listening on "))
            second.terminate()
            let rest = await second.finished()
            #expect(rest.status == 0 && !rest.output.contains("sk-postern-api-"))
        }

        @Test func secretsLeaveTheEnvironmentOfTheProcess() async throws {
            let secret = "sk-test-\(UUID().uuidString)"
            let server = try serve("data", ["POSTERN_MODEL_API_KEY": secret, "OPENAI_API_KEY": secret, "POSTERN_ADMIN_KEY": secret, "KEPT": "yes"])
            _ = try #require(await server.line(containing: "Postern is listening on "))
            let environment = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(server.processID)/environ"))
            let text = String(decoding: environment, as: UTF8.self)
            #expect(!text.contains(secret))
            #expect(text.contains("KEPT=yes"))
            server.terminate()
            #expect(await server.finished().status == 0)
        }
    }
}
