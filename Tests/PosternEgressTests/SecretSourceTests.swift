import Foundation
import NIOPosix
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// Secrets of files, variables and credentials, and the supply that keeps a session's current.
@Suite(.timeLimit(.minutes(1))) struct SecretSourceTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "postern-secret-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private static func write(_ text: String, _ path: String, mode: mode_t = 0o600) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        chmod(path, mode)
    }

    private static func resolver(_ variables: [String: SecretValue] = [:]) -> SecretResolver {
        SecretResolver(variables: variables, group: .singletonMultiThreadedEventLoopGroup)
    }

    @Test func aFilesFirstLineIsTheValueEachTime() async throws {
        try await withFolder { folder in
            let path = "\(folder)/key"
            let resolver = Self.resolver()
            for (text, value) in [("one", "one"), ("two\n", "two"), ("three\r\nrest\n", "three"), (" four ", " four ")] {
                try Self.write(text, path)
                #expect(try await resolver.find(.file(path: path)).value.text == value)
            }
        }
    }

    @Test func filesThatOthersMayUseAreRefused() async throws {
        try await withFolder { folder in
            let (path, link, fifo) = ("\(folder)/key", "\(folder)/link", "\(folder)/fifo")
            try Self.write("value", path)
            symlink(path, link)
            mkfifo(fifo, 0o600)
            let resolver = Self.resolver()
            func reason(_ path: String) async -> String {
                await #expect(throws: SecretSourceError.self) { try await resolver.find(.file(path: path)) }?.description ?? ""
            }
            #expect(await reason(link).contains("symbolic link"))
            #expect(await reason(fifo).contains("no regular file"))
            #expect(await reason(folder).contains("no regular file"))
            #expect(await reason("\(folder)/none").contains("no such file"))
            #expect(await reason("key").contains("not absolute"))
            for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o777] as [mode_t] {
                chmod(path, mode)
                let text = await reason(path)
                #expect(text.contains("mode 0\(String(mode, radix: 8))") && text.contains("chmod 600"), "\(text)")
                #expect(!text.contains("value;"))
            }
            chmod(path, 0o400)
            #expect(try await resolver.find(.file(path: path)).value.text == "value")
            try Self.write("\nvalue", path)
            #expect(await reason(path).contains("first line is empty"))
            try Self.write(String(repeating: "x", count: SecretFile.longest + 1), path)
            #expect(await reason(path).contains("at most"))
            if getuid() == 0 {
                try Self.write("value", path)
                chown(path, 65_534, 65_534)
                #expect(await reason(path).contains("belongs to user 65534"))
            }
        }
    }

    @Test func variablesAreThoseOfTheStart() async throws {
        let resolver = Self.resolver(["TOKEN": SecretValue("v"), "EMPTY": SecretValue("")])
        #expect(try await resolver.find(.variable(name: "TOKEN")).value.text == "v")
        setenv("POSTERN_TEST_LATE", "x", 1)
        for name in ["EMPTY", "POSTERN_TEST_LATE", "PATH"] {
            await #expect(throws: SecretSourceError.self) { try await resolver.find(.variable(name: name)) }
        }
    }

    @Test func aSecretNeverPrints() {
        let secret = SecretValue("hunter2")
        struct Holder { var secret: SecretValue }
        var dumped = ""
        dump(Holder(secret: secret), to: &dumped)
        for text in [
            "\(secret)", String(describing: secret), String(reflecting: secret), "\(Holder(secret: secret))", "\(Optional(secret) as Any)", dumped,
        ] {
            #expect(!text.contains("hunter2") && !text.contains("104"), "\(text)")
        }
        #expect(secret == SecretValue(bytes: Array("hunter2".utf8)) && secret != SecretValue("hunter3") && secret != SecretValue("hunter"))
    }

    // MARK: The supply

    /// A supply whose clock moves only by its own sleeps.
    private final class Stage: Sendable {
        let time = Mutex(0.0)
        let answers = Mutex<[Result<SecretResolver.Found, SecretSourceError>]>([])
        let troubles = Mutex<[SecretSourceError]>([])
        let changes = Mutex<[(Double, SecretSupply.Change)]>([])

        func run(_ script: [Result<SecretResolver.Found, SecretSourceError>]) async {
            answers.withLock { $0 = script }
            let supply = SecretSupply(
                ["k": .variable(name: "K")],
                find: { _ throws(SecretSourceError) in
                    try self.answers.withLock { answers throws(SecretSourceError) in try answers.removeFirst().get() }
                }, now: { self.time.withLock { $0 } },
                sleep: { seconds in
                    // The script is over: as if the session had ended.
                    if self.answers.withLock({ $0.isEmpty }) { throw CancellationError() }
                    self.time.withLock { $0 += seconds }
                }, chance: { 0 })
            await supply.run(troubled: { _, error in self.troubles.withLock { $0.append(error) } }) { _, change in
                self.changes.withLock { $0.append((self.time.withLock { $0 }, change)) }
            }
        }
        var told: [SecretSupply.Change] { changes.withLock { $0.map(\.1) } }
    }

    private static func found(_ text: String, lease: Double? = nil) -> Result<SecretResolver.Found, SecretSourceError> {
        .success(.init(value: SecretValue(text), lease: lease))
    }
    private static let away = SecretSourceError("vault", "cannot be reached", remedy: "wait", isTemporary: true)
    private static let gone = SecretSourceError("vault", "nothing at the path", remedy: "write it")

    @Test func aChangeIsToldOnce() async {
        let stage = Stage()
        await stage.run([Self.found("a"), Self.found("a"), Self.found("b"), Self.found("b")])
        #expect(stage.told == [.value(SecretValue("a")), .value(SecretValue("b"))])
        #expect(stage.changes.withLock { $0.map(\.0) } == [0, 120])
    }

    @Test func aValueOutlivesATroubleWithinItsLeaseOnly() async {
        let stage = Stage()
        await stage.run([Self.found("a", lease: 90)] + Array(repeating: .failure(Self.away), count: 12) + [Self.found("a", lease: 90)])
        #expect(stage.told == [.value(SecretValue("a")), .withdrawn(Self.away), .value(SecretValue("a"))])
        // Withdrawn when the lease ends, not before and not a minute later.
        #expect(stage.changes.withLock { (90...91).contains($0[1].0) }, "\(stage.changes.withLock { $0.map(\.0) })")
    }

    @Test func whatIsGoneIsWithdrawnAtOnce() async {
        let stage = Stage()
        await stage.run([Self.found("a", lease: 3_600), .failure(Self.gone), Self.found("b")])
        #expect(stage.told == [.value(SecretValue("a")), .withdrawn(Self.gone), .value(SecretValue("b"))])
        #expect(stage.changes.withLock { $0.map(\.0) }.prefix(2) == [0, 60])
    }

    @Test func aTroubleThatIsSurvivedIsToldOnce() async {
        let stage = Stage()
        let cold = SecretSourceError("vault", "answered 503", remedy: "wait", isTemporary: true)
        await stage.run([
            Self.found("a"), .failure(Self.away), .failure(Self.away), .failure(cold), Self.found("a"), .failure(Self.away), Self.found("b"),
        ])
        #expect(stage.told == [.value(SecretValue("a")), .value(SecretValue("b"))])
        #expect(stage.troubles.withLock { $0 } == [Self.away, cold, Self.away])
    }

    @Test func filesAreLookedAtMoreOften() {
        #expect(SecretSchedule(now: 0, lease: nil, chance: 0, usual: SecretSchedule.ofFiles).next == 5)
        var schedule = SecretSchedule(now: 0, lease: nil, chance: 1, usual: SecretSchedule.ofFiles)
        for _ in 0..<20 { schedule.failed(now: 0, chance: 1) }
        #expect(schedule.next == 5)
    }

    @Test func aFirstFailureIsTold() async {
        let stage = Stage()
        await stage.run([.failure(Self.away), Self.found("a")])
        #expect(stage.told == [.withdrawn(Self.away), .value(SecretValue("a"))])
    }

    @Test func waitsAreJitteredAndBounded() {
        for lease in [nil, 0.1, 5, 60, 1e9] as [Double?] {
            for chance in [0, 0.5, 1] {
                let schedule = SecretSchedule(now: 100, lease: lease, chance: chance)
                #expect((100.9...160).contains(schedule.next), "\(schedule.next)")
            }
        }
        #expect(SecretSchedule(now: 0, lease: 30, chance: 0).next == 20 && SecretSchedule(now: 0, lease: 30, chance: 1).next == 18)
        var schedule = SecretSchedule(now: 0, lease: nil, chance: 0)
        var waits: [Double] = []
        for _ in 0..<8 {
            schedule.failed(now: 0, chance: 1)
            waits.append(schedule.next)
        }
        #expect(waits == [2, 4, 8, 16, 32, 60, 60, 60])
    }
}
