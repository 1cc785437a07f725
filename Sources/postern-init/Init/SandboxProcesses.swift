import Glibc

/// What /proc tells process 1 of the others in its sandbox.
struct SandboxProcesses {
    /// They are all of one namespace; otherwise only descendants are this sandbox's.
    let haveNamespace: Bool
    /// More tasks than this are not compared one by one.
    private static let mostCompared = 256

    /// All but this one.
    func list() -> [pid_t] {
        guard haveNamespace else { return Descendants.list(below: getpid()) }
        return Self.numbers(in: "/proc").filter { $0 != getpid() }
    }

    /// The threads of a process, which may each have descriptors of their own.
    static func tasks(of process: pid_t) -> [pid_t] { numbers(in: "/proc/\(process)/task") }

    /// A number that stays the same for as long as none of `processes` has run and none more was `started`, which may have ended since; `nil` when one
    /// runs now, or there are too many to tell.
    static func stillness(of processes: [pid_t], started: Int) -> Int? {
        var hasher = Hasher()
        hasher.combine(started)
        var count = 0
        for process in processes {
            let tasks = tasks(of: process)
            count += tasks.count
            guard count <= mostCompared else { return nil }
            for task in tasks {
                guard let status = text(of: "/proc/\(process)/task/\(task)/status"), let state = value(of: "State:", in: status),
                    // Running, or about to be after waiting for a disk.
                    state.first != UInt8(ascii: "R"), state.first != UInt8(ascii: "D"),
                    let waits = value(of: "voluntary_ctxt_switches:", in: status), let losses = value(of: "nonvoluntary_ctxt_switches:", in: status)
                else { return nil }
                hasher.combine(task)
                hasher.combine(Array(waits))
                hasher.combine(Array(losses))
            }
        }
        return hasher.finalize()
    }

    /// Nothing is left of the task but its status, which nobody has taken.
    static func isDead(_ process: pid_t, _ task: pid_t) -> Bool {
        guard let status = text(of: "/proc/\(process)/task/\(task)/status"), let state = value(of: "State:", in: status) else { return true }
        return state.first == UInt8(ascii: "Z") || state.first == UInt8(ascii: "X")
    }

    /// The first 4 KiB of a file of /proc.
    static func text(of path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        guard let count = buffer.withUnsafeMutableBytes({ Posix.read(file, into: $0) }) else { return nil }
        return Array(buffer[..<count])
    }

    /// What stands behind `key` at the beginning of a line.
    static func value(of key: String, in text: [UInt8]) -> ArraySlice<UInt8>? {
        let key = Array(key.utf8)
        for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: key) {
            return line.dropFirst(key.count).drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        }
        return nil
    }

    private static func numbers(in folder: String) -> [pid_t] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var numbers: [pid_t] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 }.map { $0 } }
            guard let number = pid_t(String(decoding: name, as: UTF8.self)) else { continue }
            numbers.append(number)
        }
        return numbers
    }
}
