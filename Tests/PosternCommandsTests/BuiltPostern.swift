import Foundation
import Glibc

/// The `postern` of this build, run as a process.
final class BuiltPostern: Sendable {
    /// Beside the test bundle; nil when only this test target was built.
    static let path: String? = {
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
        // `swift test` runs the bundle itself, or a helper of the toolchain that loads it.
        let candidates = [own] + ProcessInfo.processInfo.arguments.filter { $0.hasSuffix(".xctest") }
        return candidates.map { URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("postern").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    struct CannotStart: Error {}

    let processID: pid_t
    private let lines: AsyncStream<String>
    private let ended: AsyncStream<Int32>

    /// Starts it. Its output, both streams, is read as lines.
    init(_ arguments: [String], environment: [String: String] = [:], folder: URL) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw CannotStart() }
        // Other processes of the tests must not keep this pipe open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let output = ends[0]
        let variables = ["PATH": "/usr/bin:/bin", "HOME": folder.path].merging(environment) { $1 }
        do {
            processID = try Self.spawn(arguments, variables, folder: folder.path, output: ends[1])
        } catch {
            for end in ends { close(end) }
            throw error
        }
        close(ends[1])
        let (lines, lineSource) = AsyncStream.makeStream(of: String.self)
        let (ended, endSource) = AsyncStream.makeStream(of: Int32.self)
        self.lines = lines
        self.ended = ended
        // Blocking reads on a thread of their own, off the cooperative pool.
        Thread.detachNewThread { [processID] in
            Self.read(output) { lineSource.yield($0) }
            lineSource.finish()
            var status: Int32 = 0
            while waitpid(processID, &status, 0) < 0 && errno == EINTR {}
            endSource.yield(status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F))
            endSource.finish()
        }
    }

    private static func spawn(_ arguments: [String], _ variables: [String: String], folder: String, output: Int32) throws -> pid_t {
        guard let path else { throw CannotStart() }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var argv = (["/usr/bin/env", "-C", folder, path] + arguments).map { strdup($0) } + [nil]
        var envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid = pid_t()
        guard posix_spawn(&pid, "/usr/bin/env", &actions, nil, &argv, &envp) == 0 else { throw CannotStart() }
        return pid
    }

    private static func read(_ descriptor: Int32, _ line: (String) -> Void) {
        var rest: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            rest += chunk[..<count]
            while let end = rest.firstIndex(of: 0x0A) {
                line(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
        }
        close(descriptor)
    }

    func terminate() { kill(processID, SIGTERM) }

    /// The first line that contains `text`; nil if the process ends before.
    func line(containing text: String) async -> String? {
        for await line in lines where line.contains(text) { return line }
        return nil
    }

    /// Everything it says until its end, and its exit status.
    func finished() async -> (output: String, status: Int32) {
        var output = ""
        for await line in lines { output += line + "\n" }
        for await status in ended { return (output, status) }
        return (output, -1)
    }
}
