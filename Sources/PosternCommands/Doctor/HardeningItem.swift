/// One entry of the hardening checklist: what to see to on a worker's machine, and why. The page docs/hardening.md and the remedies that
/// `doctor` prints are made from these, so that both say the same.
struct HardeningItem: Sendable, Equatable {
    enum Group: String, Sendable, CaseIterable {
        case layers = "Layers"
        case users = "Users"
        case limits = "Limits"
        case policy = "Policy"
        case keys = "State and keys"
    }

    let group: Group
    /// How `doctor` names it: the subjects of its lines.
    let subjects: [String]
    /// What to do.
    let remedy: String
    /// What it is good for, and what is lost without it.
    let reason: String

    static let all: [HardeningItem] = [
        layers, namespaces, container, allLayers,
        sessionUsers, userRange, workerProcess,
        controlGroups, quota,
        policy, sandbox, workspaces, launcher,
        stateFolder, stateDisk, keyFile, auditMirror, rootKey,
    ]

    // MARK: Layers

    static let layers = HardeningItem(
        group: .layers, subjects: ["kernel", "bubblewrap", "seccomp", "Landlock"],
        remedy: "Linux 6.12 or later with Landlock in its `lsm=` list, and bubblewrap 0.8 or later",
        reason: "Each layer stops attacks without the others. Below Linux 5.19 there is no Landlock here, below 6.12 a smaller one")
    static let namespaces = HardeningItem(
        group: .layers, subjects: ["user namespaces", "AppArmor restriction of user namespaces"],
        remedy:
            "let bubblewrap make user namespaces: a profile of its own under AppArmor's restriction, rather than the restriction off for everybody",
        reason: "Without user namespaces there is no sandbox, and the worker claims no work")
    static let container = HardeningItem(
        group: .layers, subjects: ["container"],
        remedy:
            "give the worker a machine of its own rather than a container. In one, either let it make namespaces and control groups (Docker: `--security-opt seccomp=unconfined "
            + "--security-opt apparmor=unconfined --security-opt systempaths=unconfined` and control groups that it may write), or give each session a container of its own "
            + "by a launcher, as the boundary in place of the sandbox",
        reason:
            "Engines refuse by default what bubblewrap needs, so that no sandbox starts, and keep control groups read-only, so that memory and processors are not bounded for a "
            + "session as a whole. A container that is opened for it is a weaker boundary towards its host")
    static let allLayers = HardeningItem(
        group: .layers, subjects: ["require_all_layers"],
        remedy: "set `require_all_layers: true` for the worker once its self-test shows every layer and every limit",
        reason: "Otherwise a kernel update or another machine can take a layer away, with a warning and a `layer_off` record only")

    // MARK: Users

    static let sessionUsers = HardeningItem(
        group: .users, subjects: ["users"], remedy: "start the worker as root, so that each session gets a user of its own",
        reason:
            "Files and processes of two sessions are then apart for the kernel outside of every namespace as well. As an ordinary user all sessions are that user"
    )
    static let userRange = HardeningItem(
        group: .users, subjects: ["range of users"],
        remedy:
            "keep the numbers 210000 to 229999 and 230000 free of accounts and of ranges in /etc/subuid: sessions and their proxies get theirs from the one, the worker is the other",
        reason: "A session that has the number of somebody's account has that account's rights to files")
    static let workerProcess = HardeningItem(
        group: .users, subjects: ["worker's process"],
        remedy: "leave `user` unset or name an account that owns nothing else: a worker that is started as root then goes on as that user",
        reason:
            "Only its spawner is root then, which takes no answer of the control plane. With `user: root` a fault in the part that reads them would be a fault "
            + "of root. Workers that share a user can read each other's state: give each its own where several share a machine")

    // MARK: Limits

    static let controlGroups = HardeningItem(
        group: .limits, subjects: ["cgroups"],
        remedy: "start the worker as root, or give its systemd unit `Delegate=yes`, so that it can make control groups",
        reason:
            "Memory, processes, processor time and I/O are then bounded for a session as a whole. Without, memory is bounded for each process, processor time not at all"
    )
    static let quota = HardeningItem(
        group: .limits, subjects: ["quota"],
        remedy: "put the work folder on a file system that keeps quotas of users: ext4 or XFS, mounted with `usrquota`",
        reason: "`limits.disk` and `limits.inodes` are then the kernel's. Without, a workspace is measured while programs run, a second or more late")

    // MARK: Policy

    static let policy = HardeningItem(
        group: .policy, subjects: ["policy"], remedy: "give the worker a policy, a file or a folder that only its user and root can write",
        reason:
            "Without one every session gets the profile `strict`: no network, small limits. Whoever can write the file decides what sessions may do")
    static let sandbox = HardeningItem(
        group: .policy, subjects: ["sandbox driver"], remedy: "leave `sandbox` at `bubblewrap`",
        reason: "`none` lets tools see the whole machine, and is for machines that are a sandbox themselves")
    static let workspaces = HardeningItem(
        group: .policy, subjects: ["workspaces"], remedy: "give each session a workspace of its own: leave `shared_workspace` unset",
        reason:
            "Sessions that share a folder read and change each other's files, what a policy hides of it too, and can keep each other from starting")
    static let launcher = HardeningItem(
        group: .policy, subjects: ["launcher"], remedy: "leave `on_work_compat` off",
        reason: "With it a launcher's script gets the environment key, which opens the whole queue, and not only its own item's secret")

    // MARK: State and keys

    static let stateFolder = HardeningItem(
        group: .keys, subjects: ["state folder"], remedy: "keep the state folder the worker's own: owner the worker's user, mode 0700",
        reason: "Journals, the audit with its keys, and the socket that answers approvals and freezes are in it")
    static let stateDisk = HardeningItem(
        group: .keys, subjects: ["state folder's disk"],
        remedy: "put the state folder on a volume of its own that no sandbox can fill, without snapshots and not copy-on-write",
        reason: "When the audit cannot be written, work stops. Erased signing keys are overwritten in place, which such file systems do not do")
    static let keyFile = HardeningItem(
        group: .keys, subjects: ["environment key"], remedy: "keep the environment key in a file of the worker's user or root with mode 0600",
        reason: "Whoever reads it can take this environment's work")
    static let auditMirror = HardeningItem(
        group: .keys, subjects: ["audit mirror"],
        remedy: "set `audit_mirror` to a folder on another machine's file system, best one that can only be appended to",
        reason: "Without a mirror, cutting the log back together with an older copy of its key does not show")
    static let rootKey = HardeningItem(
        group: .keys, subjects: [],
        remedy: "keep the audit's root public key (`postern audit stats` shows it) in another place, and verify against it",
        reason: "Without it `audit verify` proves that a log agrees with itself, not that it is the one that the worker began")
}
