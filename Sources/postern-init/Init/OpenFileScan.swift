import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Adds up files that have no name any more and that the sandbox's processes keep: no walk through folders finds these. A step at a time.
///
/// What is kept open is measured. What is only mapped cannot be (the kernel shows that to the machine's root alone), nor what travels between
/// two sockets, nor the descriptors of a process that does not let itself be looked at: all this is told as `isHidden`.
struct OpenFileScan {
    /// Deleted files that are told from each other; no honest program keeps as many.
    private static let most = 65_536
    /// How often processes that have come meanwhile are looked for.
    private static let passes = 3

    private let all: SandboxProcesses
    /// Process 1 itself and its file tools do not let themselves be looked at and keep nothing.
    private let own: Set<pid_t>
    private let memoryDevices: Set<UInt64>
    private var pass = 0
    private var isDone = false
    private var known: Set<pid_t> = []
    private var processes: [pid_t] = []
    private var tasks: [(process: pid_t, task: pid_t)] = []
    private var descriptors: (stream: OpaquePointer, path: String)?
    private var mappings: MappingList?
    private var found: Set<FileIdentity> = []
    private var mapped: Set<UInt64> = []

    private(set) var bytes = 0
    /// There is something that could not be measured.
    private(set) var isHidden = false
    private(set) var isComplete = true
    var files: Int { found.count }

    /// - Parameter memoryFolders: what is deleted on their file systems takes no disk, unless `workspace` is on one of them.
    init(_ all: SandboxProcesses, own: Set<pid_t>, workspace: Int32, memoryFolders: [String]) {
        self.all = all
        self.own = own
        var devices = Set(memoryFolders.compactMap { Posix.status(AT_FDCWD, Array($0.utf8), follow: true).map { UInt64($0.st_dev) } })
        if let info = Posix.status(workspace) { devices.remove(UInt64(info.st_dev)) }
        let file = psb_memory_file("device")
        if file >= 0 {
            if let info = Posix.status(file) { devices.insert(UInt64(info.st_dev)) }
            close(file)
        }
        memoryDevices = devices
    }

    /// `true` when all is looked at.
    mutating func step() -> Bool {
        if isDone { return true }
        if let descriptors {
            if let entry = readdir(descriptors.stream) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                if Int(name) != nil { look(at: name, of: descriptors.path, in: dirfd(descriptors.stream)) }
            } else {
                closedir(descriptors.stream)
                self.descriptors = nil
            }
        } else if mappings != nil {
            stepThroughMappings()
        } else if let (process, task) = tasks.popLast() {
            open(process, task)
        } else if let process = processes.popLast() {
            tasks = SandboxProcesses.tasks(of: process).map { (process, $0) }
            mappings = MappingList(of: process)
        } else {
            // New ones at every pass may hand a file on from one to the next. They are a build's as well, which must not answer for what others
            // write to the same file system, so nothing is said to be hidden for it.
            guard pass < Self.passes else { return finish() }
            pass += 1
            processes = all.list().filter { !own.contains($0) && known.insert($0).inserted }
            if processes.isEmpty { return finish() }
        }
        return false
    }

    /// Descriptors of what is open.
    var openFolders: [Int32] { descriptors.map { [dirfd($0.stream)] } ?? [] }

    mutating func end() {
        if let descriptors { closedir(descriptors.stream) }
        descriptors = nil
        mappings?.end()
        mappings = nil
    }

    private mutating func finish() -> Bool {
        // A file that is also open has been measured.
        if !mapped.isSubset(of: found.map(\.inode)) { isHidden = true }
        isDone = true
        return true
    }

    private mutating func open(_ process: pid_t, _ task: pid_t) {
        let path = "/proc/\(process)/task/\(task)"
        if let stream = opendir("\(path)/fd") {
            descriptors = (stream, path)
        } else if errno != ENOENT, errno != ESRCH, !SandboxProcesses.isDead(process, task) {
            isHidden = true
        }
    }

    private mutating func look(at name: String, of task: String, in folder: Int32) {
        var info = stat()
        guard fstatat(folder, name, &info, 0) == 0 else {
            if errno != ENOENT, errno != ESRCH { isHidden = true }
            return
        }
        if Posix.isKind(info, S_IFSOCK) {
            // Descriptors that were sent and that nobody has taken yet.
            let told = SandboxProcesses.text(of: "\(task)/fdinfo/\(name)").flatMap { SandboxProcesses.value(of: "scm_fds:", in: $0) }
            if let told, told.first != UInt8(ascii: "0") { isHidden = true }
        }
        guard Posix.isKind(info, S_IFREG), info.st_nlink == 0, !memoryDevices.contains(UInt64(info.st_dev)) else { return }
        guard found.count < Self.most else {
            isComplete = false
            return
        }
        let file = FileIdentity(device: UInt64(info.st_dev), inode: UInt64(info.st_ino))
        if found.insert(file).inserted { bytes += Int(info.st_blocks) * 512 }
    }

    private mutating func stepThroughMappings() {
        guard let lines = mappings?.next() else {
            mappings?.end()
            mappings = nil
            return
        }
        for line in lines {
            guard let file = MappingList.deletedFile(line), !memoryDevices.contains(file.device) else { continue }
            if mapped.count < Self.most { mapped.insert(file.inode) } else { isComplete = false }
        }
    }
}

/// The lines of /proc/PID/maps, as many at a time as the kernel gives.
struct MappingList {
    private let file: Int32
    private var rest: [UInt8] = []

    /// `nil` when the process cannot be looked at, which its descriptors tell as well.
    init?(of process: pid_t) {
        file = Glibc.open("/proc/\(process)/maps", O_RDONLY | O_CLOEXEC)
        if file < 0 { return nil }
    }

    /// `nil` at the end.
    mutating func next() -> [ArraySlice<UInt8>]? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &buffer, buffer.count)
        guard count > 0 else { return nil }
        rest += buffer[..<count]
        guard let last = rest.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        let lines = rest[..<last].split(separator: UInt8(ascii: "\n"))
        rest = Array(rest[(last + 1)...])
        return lines
    }

    func end() { close(file) }

    /// The file of a line such as `7f..-7f.. r--s 00000000 fe:00 1234    /workspace/x (deleted)`.
    static func deletedFile(_ line: ArraySlice<UInt8>) -> FileIdentity? {
        guard line.reversed().starts(with: " (deleted)".utf8.reversed()) else { return nil }
        let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5).map { String(decoding: $0, as: UTF8.self) }
        guard fields.count == 6, let inode = UInt64(fields[4]) else { return nil }
        let numbers = fields[3].split(separator: ":").compactMap { UInt64($0, radix: 16) }
        guard numbers.count == 2 else { return nil }
        let name = fields[5].drop { $0 == " " }
        // Of the kernel's own, and none on a disk.
        guard !name.hasPrefix("/[aio]"), !name.hasPrefix("/anon_hugepage") else { return nil }
        let (major, minor) = (numbers[0], numbers[1])
        // As the kernel packs them into 64 bits: makedev(3).
        let device = (major & 0xFFF) << 8 | (major & ~0xFFF) << 32 | minor & 0xFF | (minor & ~0xFF) << 12
        return FileIdentity(device: device, inode: inode)
    }
}
