import Foundation
import Synchronization

/// The `postern` of this build, run as a process.
final class BuiltPostern: Sendable {
    /// Beside the test bundle; nil when only this test target was built.
    static let path: String? = {
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
        // `swift test` runs the bundle itself, or a helper of the toolchain that loads it.
        let arguments = ProcessInfo.processInfo.arguments
        let candidates = [own] + arguments.filter { $0.hasSuffix(".xctest") }
        return candidates.map { URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("postern").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    private let process = Process()
    private let lines: AsyncStream<String>
    private let ended: AsyncStream<Int32>

    /// Bytes that no line feed has ended yet.
    private final class Rest: Sendable { let data = Mutex(Data()) }

    /// Starts it. Its output, both streams, is read as lines.
    init(_ arguments: [String], environment: [String: String] = [:], folder: URL) throws {
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.path ?? "/nonexistent")
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": folder.path].merging(environment) { $1 }
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        let (lines, lineSource) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1000))
        let (ended, endSource) = AsyncStream.makeStream(of: Int32.self)
        self.lines = lines
        self.ended = ended
        process.terminationHandler = { process in
            endSource.yield(process.terminationStatus)
            endSource.finish()
        }
        let rest = Rest()
        pipe.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                lineSource.finish()
                return
            }
            for line in rest.data.withLock({ Self.split(&$0, data) }) { lineSource.yield(line) }
        }
        try process.run()
    }

    private static func split(_ buffer: inout Data, _ data: Data) -> [String] {
        buffer.append(data)
        var lines: [String] = []
        while let end = buffer.firstIndex(of: 0x0A) {
            lines.append(String(decoding: buffer[..<end], as: UTF8.self))
            buffer.removeSubrange(...end)
        }
        return lines
    }

    var processID: Int32 { process.processIdentifier }

    func terminate() { process.terminate() }

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
