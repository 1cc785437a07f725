import CPosternSandbox
import Glibc
import PosternSandboxWire

/// The control groups of one spawner: in each tree that can bound something, a folder of its own below its own group, with one group for
/// each sandbox in it. The folder is locked as long as the spawner lives, so that the next one can tell what is left over.
///
/// Root makes them where the spawner is; an ordinary user where the tree has been given to it (systemd's Delegate=).
struct CgroupTree {
    struct Branch {
        var version: CgroupLayout.Version
        var folder: String
        var controllers: [CgroupLayout.Controller]
        /// Holds the lock.
        var lock: Int32
    }

    private(set) var branches: [Branch] = []
    /// Why a controller is not in any branch.
    private(set) var missing: [CgroupLayout.Controller: String] = [:]

    private static let prefix = "postern-sandboxes-"
    private static let servicesName = "postern-services"

    init() {
        guard let mounts = Self.text("/proc/self/mountinfo"), let groups = Self.text("/proc/self/cgroup") else { return }
        let layout = CgroupLayout(mountInfo: mounts, groups: groups) { CgroupFile.read(Self.base($0), "cgroup.controllers") }
        for hierarchy in layout.hierarchies {
            let controllers = CgroupLayout.Controller.allCases.filter { layout.hierarchy(of: $0) == hierarchy }
            // Version 2 can freeze and kill whatever its controllers.
            guard !controllers.isEmpty || hierarchy.version == .two else { continue }
            add(hierarchy, controllers)
        }
        for controller in CgroupLayout.Controller.allCases where missing[controller] == nil && layout.hierarchy(of: controller) == nil {
            missing[controller] = "this kernel has no such control group, or it is not mounted"
        }
    }

    /// A spawner that was moved aside by `enable` finds its sandboxes' place one step up.
    private static func base(_ folder: String) -> String {
        folder.hasSuffix("/" + servicesName) ? String(folder.dropLast(servicesName.utf8.count + 1)) : folder
    }

    private mutating func add(_ hierarchy: CgroupLayout.Hierarchy, _ controllers: [CgroupLayout.Controller]) {
        let base = Self.base(hierarchy.folder)
        Self.sweep(base)
        guard let (folder, lock) = Self.make(base) else {
            let reason = "\(base): \(SystemError.reason(errno))"
            for controller in controllers { missing[controller] = reason }
            return
        }
        var usable = controllers
        if hierarchy.version == .two {
            for controller in controllers where controller != .freezer {
                if let reason = Self.enable(controller, base, folder, isTop: hierarchy.isTop) {
                    missing[controller] = reason
                    usable.removeAll { $0 == controller }
                }
            }
        }
        branches.append(Branch(version: hierarchy.version, folder: folder, controllers: usable, lock: lock))
    }

    /// Makes a folder and takes its lock. Another spawner's sweep may come between the two and take it for left over.
    private static func make(_ base: String) -> (folder: String, lock: Int32)? {
        for _ in 0..<16 {
            let folder = "\(base)/\(prefix)\(getpid())-\(monotonicMicroseconds())"
            guard mkdir(folder, 0o755) == 0 else { return nil }
            let lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0, access(folder, F_OK) == 0 { return (folder, lock) }
            if lock >= 0 { close(lock) }
        }
        return nil
    }

    /// Version 2 hands a controller down only from groups that hold no process themselves, so that this spawner and its worker move into a
    /// group of their own; only where the group is theirs to arrange. The reason when it is not in force.
    private static func enable(_ controller: CgroupLayout.Controller, _ base: String, _ folder: String, isTop: Bool) -> String? {
        var code = CgroupFile.write(base, "cgroup.subtree_control", "+\(controller.rawValue)")
        if code == EBUSY, isDelegated(base) || isTop {
            let services = "\(base)/\(servicesName)"
            mkdir(services, 0o755)
            for pid in CgroupFile.processes(base) { _ = CgroupFile.write(services, "cgroup.procs", "\(pid)") }
            code = CgroupFile.write(base, "cgroup.subtree_control", "+\(controller.rawValue)")
        }
        if code == 0 { code = CgroupFile.write(folder, "cgroup.subtree_control", "+\(controller.rawValue)") }
        guard code != 0 else { return nil }
        return code == EBUSY
            ? "\(base) holds processes and is not delegated: give the unit Delegate=yes"
            : "\(base): \(controller.rawValue) cannot be handed down: \(SystemError.reason(code))"
    }

    private static func isDelegated(_ folder: String) -> Bool {
        if let info = Posix.status(AT_FDCWD, Array(folder.utf8), follow: false), geteuid() != 0, info.st_uid == geteuid() { return true }
        let group = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard group >= 0 else { return false }
        defer { close(group) }
        return ["user.delegate", "trusted.delegate"].contains { (name: String) in psb_attribute_is(group, name, CChar(UInt8(ascii: "1"))) == 1 }
    }

    /// Kills and removes what spawners that are gone have left.
    private static func sweep(_ base: String) {
        let directory = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        defer { close(directory) }
        for name in Posix.names(of: directory) ?? [] {
            let text = String(decoding: name, as: UTF8.self)
            guard text.hasPrefix(prefix) else { continue }
            let left = Posix.open(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard left >= 0 else { continue }
            // A living spawner holds the lock.
            if flock(left, LOCK_EX | LOCK_NB) == 0 { remove("\(base)/\(text)", left) }
            close(left)
        }
    }

    private static func remove(_ folder: String, _ directory: Int32) {
        for name in Posix.names(of: directory) ?? [] {
            let child = "\(folder)/\(String(decoding: name, as: UTF8.self))"
            guard let info = Posix.status(AT_FDCWD, Array(child.utf8), follow: false), Posix.isKind(info, S_IFDIR) else { continue }
            SessionGroup.clear(child)
        }
        rmdir(folder)
    }

    private static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        guard let count = bytes.withUnsafeMutableBytes({ Posix.read(descriptor, into: $0) }) else { return nil }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// At an orderly end.
    func remove() {
        for branch in branches { Self.remove(branch.folder, branch.lock) }
    }
}
