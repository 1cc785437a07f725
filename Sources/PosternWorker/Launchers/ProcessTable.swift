#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The living processes of this machine, as one look at `/proc` found them. Empty where there is no `/proc`.
struct ProcessTable: Sendable {
    struct Entry: Sendable {
        var pid: pid_t
        var parent: pid_t
        var session: pid_t
        /// Each thread is stopped, or waits in the kernel for something that no signal ends.
        var stillness: Stillness
        /// The variables of its environment that mark a launcher's run, `NAME=value`.
        var marks: [String]
    }

    enum Stillness: Sendable {
        /// A thread of it runs, or may at any moment.
        case moves
        /// A thread of it is in the kernel's hands: it runs no instruction of its own before a signal that it was sent has stopped it.
        case waits
        case stands
    }

    let entries: [Entry]

    /// Looks now. Blocks.
    init() {
        var entries: [Entry] = []
        for pid in Self.numbers(in: "/proc") where pid > 1 && pid != getpid() {
            guard let stat = Stat(path: "/proc/\(pid)/stat") else { continue }
            // What has ended and waits for its parent is gone, unless only its first thread has ended.
            guard !stat.hasEnded || stat.threads > 1 else { continue }
            let environment = Self.read("/proc/\(pid)/environ") ?? []
            let marks = environment.split(separator: 0).filter { $0.starts(with: Self.markPrefix) }.map { String(decoding: $0, as: UTF8.self) }
            entries.append(
                Entry(pid: pid, parent: stat.parent, session: stat.session, stillness: Self.stillness(pid, stat), marks: marks))
        }
        self.entries = entries
    }

    private static let markPrefix = Array("\(LauncherEnvironment.mark)=".utf8)

    /// A look that begins after this was called. Who asks while one is under way shares the next: a look costs as much for one run as for all.
    static func fresh() async -> ProcessTable { await Looks.shared.next() }

    // MARK: proc(5)

    /// `pid (name) state ppid pgrp session … num_threads …`
    private struct Stat {
        var state: UInt8
        var parent: pid_t
        var session: pid_t
        var threads: Int

        var hasEnded: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }

        init?(path: String) {
            // The name may hold anything, so the last parenthesis counts.
            guard let bytes = ProcessTable.read(path), let close = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
            let fields = bytes[(close + 1)...].split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count > 17, let state = fields[0].utf8.first, let parent = pid_t(fields[1]), let session = pid_t(fields[3]) else {
                return nil
            }
            (self.state, self.parent, self.session, threads) = (state, parent, session, Int(fields[17]) ?? 1)
        }

        var stillness: Stillness {
            switch state {
            case UInt8(ascii: "T"), UInt8(ascii: "t"), UInt8(ascii: "Z"), UInt8(ascii: "X"): .stands
            case UInt8(ascii: "D"): .waits
            default: .moves
            }
        }
    }

    private static func stillness(_ pid: pid_t, _ stat: Stat) -> Stillness {
        guard stat.threads > 1, stat.stillness != .moves else { return stat.stillness }
        var all = Stillness.stands
        for thread in numbers(in: "/proc/\(pid)/task") {
            switch Stat(path: "/proc/\(pid)/task/\(thread)/stat")?.stillness {
            case .moves?: return .moves
            case .waits?: all = .waits
            case .stands?, nil: break
            }
        }
        return all
    }

    private static func numbers(in path: String) -> [pid_t] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var numbers: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if let number = pid_t(name) { numbers.append(number) }
        }
        return numbers
    }

    /// At most 1 MiB of a file.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < 1 << 20 {
            #if canImport(Glibc)
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            #else
            let count = Darwin.read(descriptor, &chunk, chunk.count)
            #endif
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }
}

/// Makes one look for all who wait for one.
private actor Looks {
    static let shared = Looks()
    private var waiting: [CheckedContinuation<ProcessTable, Never>] = []
    private var isLooking = false

    func next() async -> ProcessTable {
        await withCheckedContinuation { done in
            waiting.append(done)
            guard !isLooking else { return }
            isLooking = true
            Task { await look() }
        }
    }

    private func look() async {
        while !waiting.isEmpty {
            let asked = waiting
            waiting = []
            let table = await ScriptProcess.blocking { ProcessTable() }
            for done in asked { done.resume(returning: table) }
        }
        isLooking = false
    }
}
