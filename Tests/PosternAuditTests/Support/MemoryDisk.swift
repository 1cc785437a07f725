import PosternAudit
import Synchronization

/// A disk in memory that can stop at any step, as a machine does that is killed or loses its power.
///
/// Each step is one thing that can be on the disk or not: a part of a write, a flush, a new file beside the old one, its renaming, the erasing.
final class MemoryDisk: AuditDisk {
    fileprivate struct State {
        var files: [String: [UInt8]] = [:]
        /// Bytes of each file that a loss of power leaves.
        var durable: [String: Int] = [:]
        var steps = 0
        var stopsAt: Int?
        var locked: Set<String> = []
        /// Bytes that all files together may take; `nil` for no bound.
        var capacity: Int?
        /// Every content that an erased file ever had, and that a renamed one leaves behind if it was not erased.
        var remains: [[UInt8]] = []
    }

    private let state = Mutex(State())

    init() {}

    /// What a kill at this moment leaves, as a new disk; or a loss of power, of which half of what was not flushed survives.
    func afterCrash(losesPower: Bool) -> MemoryDisk {
        let copy = MemoryDisk()
        state.withLock { state in
            let files = state.files.reduce(into: [String: [UInt8]]()) { files, file in
                let durable = state.durable[file.key] ?? 0
                files[file.key] = losesPower ? Array(file.value.prefix((durable + file.value.count) / 2)) : file.value
            }
            copy.state.withLock {
                $0.files = files
                $0.durable = files.mapValues(\.count)
            }
        }
        return copy
    }

    var steps: Int { state.withLock { $0.steps } }
    var names: [String] { state.withLock { $0.files.keys.sorted() } }
    var everErased: [[UInt8]] { state.withLock { $0.remains } }

    /// From then on every call fails; of a write at that step, half is done.
    func stop(at step: Int) { state.withLock { $0.stopsAt = step } }
    func limit(_ bytes: Int?) { state.withLock { $0.capacity = bytes } }

    subscript(path: String) -> [UInt8]? {
        get { state.withLock { $0.files[path] } }
        set {
            state.withLock {
                $0.files[path] = newValue
                $0.durable[path] = newValue?.count
            }
        }
    }

    // MARK: AuditDisk

    func names(in folder: String) -> [String] {
        state.withLock { $0.files.keys.filter { $0.hasPrefix(folder + "/") }.map { String($0.dropFirst(folder.count + 1)) } }
    }

    func read(_ path: String, _ piece: (ArraySlice<UInt8>) -> Void) -> Bool {
        guard let bytes = self[path] else { return false }
        // In odd pieces, so that lines are cut.
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + 1009)
            piece(bytes[start..<end])
            start = end
        }
        return true
    }

    func open(_ path: String) throws(FileError) -> any AuditFile {
        try step { if $0.files[path] == nil { $0.files[path] = [] } }
        return File(disk: self, path: path)
    }

    func replace(_ path: String, with bytes: [UInt8], erasing: Bool) throws(FileError) {
        let temporary = "\(path).1.tmp"
        try room(for: bytes.count)
        try step { $0.files[temporary] = [] }
        try step {
            $0.files[temporary] = bytes
            $0.durable[temporary] = bytes.count
        }
        let old = self[path]
        try step {
            $0.files[path] = bytes
            $0.durable[path] = bytes.count
            $0.files[temporary] = nil
        }
        if erasing, let old { try step { $0.remains.append(old) } }
    }

    func rename(_ path: String, to other: String) throws(FileError) {
        try step {
            precondition($0.files[other] == nil)
            $0.files[other] = $0.files[path]
            $0.durable[other] = $0.durable[path]
            $0.files[path] = nil
        }
    }

    func reserve(_ path: String, bytes: Int) throws(FileError) {
        try room(for: bytes - (self[path]?.count ?? 0))
        try step { $0.files[path] = [UInt8](repeating: 0, count: bytes) }
    }

    func remove(_ path: String) throws(FileError) { try step { $0.files[path] = nil } }

    func lock(_ path: String) throws(FileError) -> any Sendable { [path] }

    // MARK: Steps

    fileprivate func step(_ body: (inout State) -> Void) throws(FileError) {
        let goes = state.withLock { state in
            state.steps += 1
            guard state.stopsAt.map({ state.steps < $0 }) ?? true else { return false }
            body(&state)
            return true
        }
        if !goes { throw FileError(action: "use", path: "the disk", reason: "stopped") }
    }

    fileprivate func room(for bytes: Int) throws(FileError) {
        let isThere = state.withLock { state in state.capacity.map { state.files.values.reduce(bytes) { $0 + $1.count } <= $0 } ?? true }
        guard !isThere else { return }
        var error = FileError(action: "write", path: "the disk", reason: "No space left on device")
        error.code = 28
        throw error
    }

    private struct File: AuditFile {
        let disk: MemoryDisk
        let path: String

        var size: Int { disk[path]?.count ?? 0 }

        func append(_ bytes: ArraySlice<UInt8>, written: inout Int) throws(FileError) {
            try disk.room(for: bytes.count)
            let half = bytes.count / 2
            try disk.step { $0.files[path, default: []] += bytes.prefix(half) }
            written += half
            try disk.step { $0.files[path, default: []] += bytes.dropFirst(half) }
            written += bytes.count - half
        }

        func flush() throws(FileError) { try disk.step { $0.durable[path] = $0.files[path]?.count } }
    }
}
