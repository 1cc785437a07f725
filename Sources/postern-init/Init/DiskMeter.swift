import Glibc
import PosternSandboxWire

/// One measurement of what a session keeps on the disk: its workspace, what of the tool outputs goes beyond their own bound, and deleted files
/// that are still open. In slices, in the process that no limit of the session can keep from it.
struct DiskMeter {
    /// A slice; calls wait no longer for it.
    private static let slice = 2_000

    let began: Int
    /// Of the session's processes at the start: see `SandboxProcesses.stillness`.
    let stillness: Int?
    private let volumeBytes: Int
    private let outputsBound: Int
    private var workspace: FolderWalk
    private var outputs: FolderWalk
    private var kept: OpenFileScan
    private(set) var spent = 0

    init(at now: Int, places: (workspace: Int32, outputs: Int32), outputsBound: Int, most: Int, stillness: Int?, kept: OpenFileScan) {
        began = now
        self.stillness = stillness
        self.outputsBound = outputsBound
        self.kept = kept
        volumeBytes = Self.volumeBytes(of: places.workspace)
        workspace = FolderWalk(places.workspace, most: most)
        outputs = FolderWalk(places.outputs, most: most)
    }

    /// What is used of the file system, by whomever; 0 where it does not say.
    static func volumeBytes(of folder: Int32) -> Int {
        var status = statvfs()
        guard fstatvfs(folder, &status) == 0, status.f_blocks >= status.f_bfree else { return 0 }
        return Int(status.f_blocks - status.f_bfree) * Int(status.f_frsize)
    }

    /// Goes on for a slice. `nil` while there is more to do.
    mutating func run() -> DiskWatch.Usage? {
        let start = monotonicMicroseconds()
        defer { spent += monotonicMicroseconds() - start }
        while true {
            // The clock is not asked for every file.
            for _ in 0..<64 {
                if step() { return usage }
            }
            if monotonicMicroseconds() - start >= Self.slice { return nil }
        }
    }

    mutating func end() {
        workspace.end()
        outputs.end()
        kept.end()
    }

    /// In a child of this process, which the measurement is not for.
    func closeDescriptors() {
        for folder in workspace.descriptors + outputs.descriptors + kept.openFolders { close(folder) }
    }

    /// What is kept open is looked at first and, by its nature, for a moment; then what has a name.
    private mutating func step() -> Bool { kept.step() && workspace.step() && outputs.step() }

    private var usage: DiskWatch.Usage {
        DiskWatch.Usage(
            bytes: workspace.bytes + kept.bytes + max(0, outputs.bytes - outputsBound), inodes: workspace.entries + kept.files,
            isComplete: workspace.isComplete && outputs.isComplete && kept.isComplete, deletedBytes: kept.bytes, hasHidden: kept.isHidden,
            volumeBytes: volumeBytes)
    }
}
