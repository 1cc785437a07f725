import ManagedAgentsClient
import PosternPolicy
import PosternSandbox
import PosternSandboxWire
import PosternWorker

#if canImport(CoreFoundation)
// Where many files are compiled at once, `stat` counts as CoreFoundation's, which swift-certificates brings along.
import CoreFoundation
#endif

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The first part of a worker that was started as root: it reads what only root can, starts the spawner, makes the worker's folders over, and
/// goes on as an ordinary user. No answer of the control plane is read here.
struct RootStart {
    let user: WorkerUser
    let settings: WorkerSettings
    /// The configuration file, as it was read.
    var configurationFile: PolicySet.File?
    /// Of the process, with secrets.
    let environment: [String: String]
    /// The variables among them that hold secrets.
    let secretVariables: Set<String>

    /// Ends in the same process as `user`, or throws.
    func goOn() throws -> Never {
        let files = try settings.policy.map { (path) throws(CommandError) in try PolicyFiles.files(path) } ?? []
        let denials = PolicyFiles.denials(settings.policy, own: settings.ownFiles)
        let policies = try PolicySet(files, reader: PolicyFiles.reader(own: denials))
        let ownFiles = settings.ownFiles + WorkerSettings.perimeterFiles(policies)
        try WorkerFolders(user: user).prepare(
            workdir: settings.sharedWorkspace == nil ? settings.workdir : nil, state: settings.stateFolder, mirror: settings.auditMirror)

        var options = Spawner.Configuration()
        options.proxyProgram = TextFile.resolved("/proc/self/exe")
        options.served = served(policies, denied: ownFiles)
        var handover = WorkerHandover(served: served(policies, denied: ownFiles), spawner: try Spawner.start(options))
        handover.secrets = environment.filter { secretVariables.contains($0.key) && !$0.value.isEmpty }
        handover.environmentKey = settings.environmentKey?.value
        handover.configuration = configurationFile
        handover.policies = files
        handover.policyDenials = denials
        handover.folders[ConfigurationKey.workspaceSource.name] = settings.workspaceSource
        handover.folders[ConfigurationKey.sharedWorkspace.name] = settings.sharedWorkspace
        handover.folders[ConfigurationKey.auditMirror.name] = settings.auditMirror
        handover.ownFiles = ownFiles
        try handover.execute(as: user, environment: environment.filter { !secretVariables.contains($0.key) })
    }

    /// All that any session of this worker may be shown, and the files of root's that hold secrets.
    private func served(_ policies: PolicySet, denied: [String]) -> ServedPlaces {
        var trees = settings.sharedWorkspace.map { [ServedTree(path: $0, isWritable: true)] } ?? []
        for files in policies.policies.map(\.policy.files) {
            trees += files.write.map { ServedTree(path: $0.description, isWritable: true) }
            trees += files.read.map { ServedTree(path: $0.description, isWritable: false) }
        }
        return ServedPlaces(
            user: user.number, trees: Self.unique(trees), files: Self.unique(policies.policies.flatMap(\.policy.perimeterFiles)),
            denied: Self.unique(denied), allowsNoSandbox: settings.sandbox == "none" && settings.launcher == nil)
    }

    private static func unique<Value: Hashable>(_ values: [Value]) -> [Value] {
        var seen: Set<Value> = []
        return values.filter { seen.insert($0).inserted }
    }
}

/// What a worker that is not root any more must still reach itself.
enum WorkerReach {
    /// - Throws: with the place, the user and the remedy.
    static func check(_ settings: WorkerSettings, user: UInt32) throws(ConfigurationError) {
        var needed: [(what: String, path: String, rights: Int32)] = [("state_dir", settings.stateFolder, R_OK | W_OK | X_OK)]
        if settings.sharedWorkspace == nil { needed.append(("workdir", settings.workdir, R_OK | W_OK | X_OK)) }
        if let path = settings.auditMirror { needed.append(("audit_mirror", path, W_OK | X_OK)) }
        if let path = settings.workspaceSource, settings.sharedWorkspace == nil { needed.append(("workspace_source", path, R_OK | X_OK)) }
        if let path = settings.caFile { needed.append(("ca_file", path, R_OK)) }
        if let path = settings.launcher?.script { needed.append(("on_work", path, R_OK | X_OK)) }
        var problems: [String] = []
        for (what, path, rights) in needed where access(path, rights) != 0 && errno == EACCES {
            problems.append(
                "\(what): the worker goes on as user \(user), who cannot use \(path). Let that user walk to it (chmod o+x on the folders above it) and "
                    + "\(rights & W_OK != 0 ? "write" : "read") it, name another place, name another user with --user, "
                    + "or keep the worker root with --user root")
        }
        guard problems.isEmpty else { throw ConfigurationError(problems) }
    }

    /// That sessions which run without a sandbox, as users of their own, can walk to `workdir`.
    static func checkWalk(_ workdir: String) throws(ConfigurationError) {
        // What a link leads to, of what is there already.
        var parent = workdir
        while access(parent, F_OK) != 0, let slash = parent.lastIndex(of: "/"), slash > parent.startIndex { parent = String(parent[..<slash]) }
        // With a name more, so that a parent of what is to be made is looked at too.
        parent = TextFile.resolved(parent) + (parent == workdir ? "" : "/-")
        while let slash = parent.lastIndex(of: "/"), slash > parent.startIndex {
            parent = String(parent[..<slash])
            var info = stat()
            guard stat(parent, &info) == 0, info.st_mode & S_IXOTH == 0 else { continue }
            throw ConfigurationError(
                "workdir: with sandbox none, a worker that was started as root runs each session as a user of its own, who cannot walk through "
                    + "\(parent): chmod o+x '\(parent)', name another place, or start the worker as an ordinary user")
        }
    }
}
