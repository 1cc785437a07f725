import Foundation
import Synchronization

/// Runs a program to its end. Output goes through files, so that no pipe fills.
struct ForwardCommand: Sendable {
    var path: String
    var arguments: [String]
    var environment: [String: String] = [:]
    var input: String?
    /// Given as standard input instead of `input`.
    var inputDescriptor: Int32?
    var outputPath: String?

    struct Result: Sendable {
        var status: Int32
        var output: String
        var errors: String
    }

    static func isInstalled(_ path: String) -> Bool { access(path, X_OK) == 0 }

    /// `started` is called with the process id once the program runs.
    func run(started: @Sendable (Int32) -> Void = { _ in }) async throws -> Result {
        let folder = NSTemporaryDirectory() + "postern-command-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (output, errors, standardInput) = (outputPath ?? "\(folder)/output", "\(folder)/errors", "\(folder)/input")
        for file in [output, errors] { try Data().write(to: URL(fileURLWithPath: file)) }
        try Data((input ?? "").utf8).write(to: URL(fileURLWithPath: standardInput))

        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": folder, "LC_ALL": "C.UTF-8"].merging(environment) { $1 }
        process.standardInput =
            try inputDescriptor.map { FileHandle(fileDescriptor: $0, closeOnDealloc: false) }
            ?? FileHandle(forReadingFrom: URL(fileURLWithPath: standardInput))
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
        let (ends, end) = AsyncStream<Void>.makeStream()
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        started(process.processIdentifier)
        await withTaskCancellationHandler {
            for await _ in ends {}
        } onCancel: {
            kill(process.processIdentifier, SIGKILL)
        }
        guard !process.isRunning else { throw CancellationError() }
        return Result(
            status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
            output: outputPath == nil ? try String(contentsOfFile: output, encoding: .utf8) : "",
            errors: String(decoding: try Data(contentsOf: URL(fileURLWithPath: errors)), as: UTF8.self))
    }
}
