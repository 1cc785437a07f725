import Logging
import ManagedAgentsClient
import PosternJSON
import PosternWorker

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A worker on a fake service with a fake sandbox, in a folder of its own that is removed at the end.
final class Fixture: Sendable {
    let folder: String
    let service: FakeService
    let driver: FakeDriver
    let clock: ManualClock

    init(service: FakeService = FakeService(), driver: FakeDriver = FakeDriver(), clock: ManualClock = ManualClock()) {
        var template = Array("/tmp/postern-worker-XXXXXX".utf8CString)
        folder =
            mkdtemp(&template) == nil ? "/tmp/postern-worker" : String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.service = service
        self.driver = driver
        self.clock = clock
    }

    deinit {
        RemoveTree.remove(folder)
    }

    func configuration(_ change: (inout WorkerConfiguration) -> Void = { _ in }) -> WorkerConfiguration {
        var configuration = WorkerConfiguration(environmentID: "env_1", environmentKey: Secret("env-key"), workdir: folder + "/work")
        configuration.pacing = clock.pacing
        change(&configuration)
        return configuration
    }

    func worker(mode: Worker.Mode = .poll, driver: FakeDriver? = nil, _ change: (inout WorkerConfiguration) -> Void = { _ in }) -> Worker {
        Worker(
            configuration: configuration(change), transport: service, driver: driver ?? self.driver, mode: mode,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// Runs a worker while `body` runs, then shuts it down and waits for its end.
    func serving(_ worker: Worker, _ body: () async throws -> Void) async throws {
        let running = Task { try await worker.run() }
        do { try await body() } catch {
            worker.shutDown()
            _ = try? await running.value
            throw error
        }
        worker.shutDown()
        try await running.value
    }

    /// The journal of a session, written as a killed worker left it.
    func leaveJournal(_ session: String, _ records: [JournalRecord]) {
        let path = "\(folder)/work/.postern/sessions"
        _ = makeFolders(path)
        var text = ""
        for record in records { text += record.json.text + "\n" }
        let file = fopen("\(path)/\(session).journal", "w")
        if let file {
            fputs(text, file)
            fclose(file)
        }
    }

    private func makeFolders(_ path: String) -> Bool {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            mkdir(made, 0o700)
        }
        return true
    }

    func append(_ path: String, _ text: String) {
        let file = fopen("\(folder)/work/\(path)", "a")
        if let file {
            fputs(text, file)
            fclose(file)
        }
    }

    func exists(_ path: String) -> Bool { access("\(folder)/work/\(path)", F_OK) == 0 }

    func contents(_ path: String) -> String {
        guard let file = fopen("\(folder)/work/\(path)", "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

enum RemoveTree {
    static func remove(_ path: String) {
        guard let directory = opendir(path) else {
            unlink(path)
            return
        }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        closedir(directory)
        for name in names where name != "." && name != ".." {
            var status = stat()
            let inner = "\(path)/\(name)"
            if lstat(inner, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { remove(inner) } else { unlink(inner) }
        }
        rmdir(path)
    }
}
