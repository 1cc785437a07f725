#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Every process of one launcher run, wherever it has gone: the script's session, whatever carries the run's mark in its environment, and
/// the children of all of these. Asking them to end spares what a launched worker still needs for its own end. These calls block.
struct ProcessTree: Sendable {
    /// The script, which leads a session and a process group of its own.
    let leader: pid_t
    /// `NAME=value`.
    let mark: String

    /// A process as `/proc` shows it.
    private struct Entry {
        var pid: pid_t
        var parent: pid_t
        var session: pid_t
    }

    /// Sends SIGTERM to the script and to what it has started. Not to a spawner, which ignores it and ends with its worker, and to nothing
    /// below one: a worker that drains still needs its sandboxes.
    func terminate() {
        _ = kill(-leader, SIGTERM)
        for pid in members(except: Self.ignoresTermination) { _ = kill(pid, SIGTERM) }
    }

    /// Kills all. It looks again until none is left, since a process can fork while it is looked for.
    func killAll() {
        _ = kill(-leader, SIGKILL)
        for _ in 0..<50 {
            let members = members()
            if members.isEmpty { return }
            for pid in members { _ = kill(pid, SIGKILL) }
        }
    }

    /// Living members. Elsewhere than on Linux, which has no `/proc`, only the process group is known and this is empty.
    /// - Parameter isLeftOut: asked of what is neither in the script's session nor marked; it and what is below it are left out.
    func members(except isLeftOut: (pid_t) -> Bool = { _ in false }) -> [pid_t] {
        let all = Self.processes()
        var found = Set(all.filter { $0.session == leader || $0.pid == leader || carriesMark($0.pid) }.map(\.pid))
        var passed: Set<pid_t> = []
        while true {
            let children = all.filter { found.contains($0.parent) && !found.contains($0.pid) && passed.insert($0.pid).inserted }
            if children.isEmpty { return found.sorted() }
            found.formUnion(children.map(\.pid).filter { !isLeftOut($0) })
        }
    }

    /// By the kernel's word (proc(5), SigIgn in status).
    private static func ignoresTermination(_ pid: pid_t) -> Bool {
        guard let bytes = read("/proc/\(pid)/status") else { return false }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("SigIgn:") }
        guard let mask = line?.split(whereSeparator: \.isWhitespace).last.flatMap({ UInt64($0, radix: 16) }) else { return false }
        return mask & 1 << UInt64(SIGTERM - 1) != 0
    }

    private func carriesMark(_ pid: pid_t) -> Bool {
        guard let bytes = Self.read("/proc/\(pid)/environ") else { return false }
        return bytes.split(separator: 0).contains { $0.elementsEqual(mark.utf8) }
    }

    private static func processes() -> [Entry] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var entries: [Entry] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard let pid = pid_t(name), pid > 1, pid != getpid(), let bytes = read("/proc/\(pid)/stat") else { continue }
            // `pid (name) state ppid pgrp session …`; the name may hold anything, so the last parenthesis counts.
            guard let close = bytes.lastIndex(of: UInt8(ascii: ")")) else { continue }
            let fields = bytes[(close + 1)...].split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count > 3, fields[0] != "Z", fields[0] != "X", let parent = pid_t(fields[1]), let session = pid_t(fields[3]) else {
                continue
            }
            entries.append(Entry(pid: pid, parent: parent, session: session))
        }
        return entries
    }

    private static func read(_ path: String) -> [UInt8]? {
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
