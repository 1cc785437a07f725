#if canImport(CoreFoundation)
// Where it is compiled together with files that know certificates, `stat` counts as CoreFoundation's.
import CoreFoundation
#endif
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif
import PosternSandboxWire

/// The hardening checklist held against this machine and the worker's settings, as far as both can be seen from here. Nothing in it keeps a
/// worker from starting. What the sandbox itself needs is in `SandboxChecks`.
struct HardeningChecks {
    let configuration: Configuration
    let workdir: String
    let stateFolder: String
    let isRoot: Bool
    private let environment: [String: String]

    /// - Parameter folder: the worker's, if one was named; the default of `workdir` leaves it to the worker's settings.
    /// - Throws: when the settings are none that a worker would start with.
    init(folder: String, environment: [String: String], isRoot: Bool) throws {
        let file = try environment[Configuration.ReservedVariable.config.rawValue].map {
            try ConfigurationFile(TextFile.read($0), name: $0, section: .worker)
        }
        let flags = folder == ConfigurationKey.workdir.fallback ? [:] : [ConfigurationKey.workdir.name: folder]
        configuration = try Configuration(.worker, flags: flags, environment: environment, file: file)
        workdir = TextFile.absolute(try configuration.required(.workdir))
        // As `WorkerSettings` has it.
        stateFolder = configuration.text(.stateDirectory).map(TextFile.absolute) ?? workdir + "/.postern"
        self.isRoot = isRoot
        self.environment = environment
    }

    var findings: [Finding] {
        [
            container, allLayers, userRange, workerProcess, quota, policy, sandbox, workspaces, launcher, state, stateDisk, keyFile, auditMirror,
        ].compactMap { $0 }
    }

    // MARK: Machine

    private var container: Finding {
        let signs = ContainerSigns(
            .init(
                present: Set(ContainerSigns.Sources.files.filter(TextFile.exists)), managerNote: Self.text("/run/systemd/container"),
                groups: Self.text("/proc/1/cgroup") + "\n" + Self.text("/proc/self/cgroup"), mounts: .current,
                userMap: Self.text("/proc/self/uid_map"), environment: environment))
        return signs.signs.isEmpty ? good(.container, signs.detail) : limited(.container, signs.detail)
    }

    // MARK: Settings

    private var allLayers: Finding {
        configuration.text(.requireAllLayers) == "true"
            ? good(.allLayers, "set: a worker does not start without every layer") : limited(.allLayers, "not set")
    }

    private var policy: Finding {
        guard let path = configuration.text(.policy) else { return limited(.policy, "none is set: every session gets the profile strict") }
        guard let status = FileStatus(path) else { return limited(.policy, "\(path) cannot be looked at") }
        let writable = status.mode & 0o022 != 0
        if writable || !status.isOwned {
            return limited(.policy, "\(path) can be written by others (mode \(status.octalMode), user \(status.owner))")
        }
        return good(.policy, path)
    }

    private var sandbox: Finding? {
        configuration.text(.sandbox) == "none" ? limited(.sandbox, "none: tools see the whole machine") : nil
    }

    private var workspaces: Finding? {
        configuration.text(.sharedWorkspace).map { limited(.workspaces, "all sessions work in \($0)") }
    }

    private var launcher: Finding? {
        configuration.text(.onWorkCompat) == "true" ? limited(.launcher, "scripts get the environment key") : nil
    }

    private var auditMirror: Finding {
        guard let path = configuration.text(.auditMirror) else { return limited(.auditMirror, "none is set") }
        guard let mirror = FileStatus(path) else { return limited(.auditMirror, "\(path) cannot be looked at") }
        if mirror.device == FileStatus.nearest(stateFolder)?.device { return limited(.auditMirror, "\(path) is on the log's own file system") }
        return good(.auditMirror, path)
    }

    // MARK: Files

    private var keyFile: Finding? {
        guard let path = configuration.text(.environmentKeyFile) else { return nil }
        guard let status = FileStatus(path) else { return limited(.keyFile, "\(path) cannot be looked at") }
        return status.mode & 0o077 == 0 && status.isOwned
            ? good(.keyFile, path) : limited(.keyFile, "\(path) has mode \(status.octalMode) and belongs to user \(status.owner)")
    }

    private var state: Finding {
        guard let status = FileStatus(stateFolder) else { return good(.stateFolder, "\(stateFolder) will be made with mode 0700") }
        return status.mode & 0o077 == 0 && status.isOwned
            ? good(.stateFolder, stateFolder)
            : limited(.stateFolder, "\(stateFolder) has mode \(status.octalMode) and belongs to user \(status.owner)")
    }

    private var stateDisk: Finding {
        let mount = MountTable.current.mount(of: stateFolder)
        if let kind = mount?.kind, ["btrfs", "zfs", "bcachefs", "overlay", "nilfs2"].contains(kind) {
            return limited(.stateDisk, "\(stateFolder) is on \(kind), which does not overwrite in place")
        }
        if FileStatus.nearest(stateFolder)?.device == FileStatus.nearest(workdir)?.device {
            return limited(.stateDisk, "\(stateFolder) is on the file system of the workspaces")
        }
        return good(.stateDisk, mount.map { "\($0.kind) at \($0.point)" } ?? stateFolder)
    }

    private var quota: Finding {
        guard let mount = MountTable.current.mount(of: workdir) else { return limited(.quota, "the file system of \(workdir) cannot be told") }
        if !isRoot { return limited(.quota, "only a worker that is root can set one") }
        return mount.keepsUserQuota
            ? good(.quota, "\(mount.kind) at \(mount.point) keeps quotas of users")
            : limited(.quota, "\(mount.kind) at \(mount.point) keeps no quotas of users")
    }

    // MARK: Users

    private var workerProcess: Finding {
        guard isRoot else { return good(.workerProcess, "an ordinary user") }
        do throws(ConfigurationError) {
            guard let user = try WorkerUser.chosen(configuration.text(.workerUser), own: 0) else {
                return limited(.workerProcess, "a worker started like this stays root")
            }
            return good(
                .workerProcess, "a worker started like this goes on as \(user.account.map { "\($0.name) (\(user.number))" } ?? "\(user.number)")")
        } catch {
            return limited(.workerProcess, "\(error)")
        }
    }

    private var userRange: Finding? {
        guard isRoot else { return nil }
        let taken = UserRange.reserved.conflicts(passwd: Self.text("/etc/passwd"), subordinate: Self.text("/etc/subuid"))
        return taken.isEmpty
            ? good(.userRange, "\(UserRange.reserved.text) are free") : limited(.userRange, "taken by \(taken.joined(separator: ", "))")
    }

    private static func text(_ path: String) -> String {
        do throws(CommandError) { return try TextFile.read(path) } catch { return "" }
    }

    private func good(_ item: HardeningItem, _ detail: String) -> Finding { .good(item.subjects.first ?? "", detail) }

    private func limited(_ item: HardeningItem, _ detail: String) -> Finding { .limited(item.subjects.first ?? "", detail, item.remedy) }
}

/// Owner, mode and device of a file.
private struct FileStatus {
    var owner: uid_t
    var mode: mode_t
    var device: dev_t

    /// `nil` where there is nothing, or nothing that may be looked at.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (owner, mode, device) = (status.st_uid, status.st_mode & 0o7777, status.st_dev)
    }

    /// Of the nearest folder that exists, where something is still to be made.
    static func nearest(_ path: String) -> FileStatus? { FileStatus(MountTable.existing(path)) }

    /// By this user or root.
    var isOwned: Bool { owner == geteuid() || owner == 0 }
    var octalMode: String { "0" + String(mode, radix: 8) }
}
