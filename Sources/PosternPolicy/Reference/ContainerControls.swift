/// Countermeasures of NIST SP 800-190 (Application Container Security Guide, section 4).
enum ContainerControls {
    typealias Row = ControlMap.Row

    static func rows(_ values: ControlValues) -> [Row] {
        (content(values) + network(values) + runtime(values) + host(values)).sorted { $0.control < $1.control }
    }

    private static func row(_ control: String, _ settings: [ControlMap.Setting], _ layers: [ControlMap.Layer], _ holds: String, _ gap: String) -> Row
    {
        Row(catalogue: .containers, control: control, settings: settings, layers: layers, holds: holds, gap: gap)
    }

    private static func content(_ values: ControlValues) -> [Row] {
        [
            row(
                "4.1 Image countermeasures", [values.read], [.mounts],
                "There are no images. Programs are the host's `/usr`, read-only, and what this policy binds",
                "The host's packages are kept current by whoever runs the host. What an agent brings into the workspace is not scanned"),
            row(
                "4.1.4 Embedded clear text secrets", [values.secrets, values.hidden, values.variables], [.mounts, .proxy, .policy],
                "A policy names secrets and holds none. The sandbox has placeholders; files that match hidden patterns are masked",
                "A credential in the workspace under another name, or in a variable of the policy, is the agent's to read"),
            row(
                "4.2 Registry countermeasures", [values.registries], values.registries.value == SchemaKind.none ? [.policy] : [.proxy],
                values.registries.value == SchemaKind.none
                    ? "This policy names no registry"
                    : "`GET` and `HEAD` on port 443 to the registries named, with the certificate verified",
                "What a package contains is not judged, nor are its signatures"),
            row(
                "4.3.1 Unbounded administrative access", [], [.policy, .worker],
                "The ceiling is a file inside the perimeter. The control plane chooses among ceilings by what a session is, and can narrow the one chosen, "
                    + "never widen it. Approvals and freezing are answered on the worker's machine only",
                "Root on the worker's machine can change policies and the worker itself; the audit shows which policy held"),
            row(
                "4.3.2 Unauthorized access", [], [.worker],
                "A worker's credential reads sessions whose lease it holds and posts results of their open calls. Credentials are hashed and revocable",
                "Single sign-on and second factors are for a proxy in front of the API"),
            row(
                "4.3.4 Mixing of workload sensitivity levels", [], [.policy, .user],
                "Each session has a policy by environment and agent, and a user of its own where the worker is root",
                "Sessions of one worker share a kernel and a machine. Give levels of sensitivity workers of their own, or a launcher"),
        ]
    }

    private static func network(_ values: ControlValues) -> [Row] {
        [
            row(
                "4.3.3 Poorly separated inter-container network traffic", [values.egressMode], [.network, .proxy],
                "Each session has a network namespace with nothing but loopback, and a token of its own towards the proxy",
                values.policy.egress == .shared
                    ? "This policy lets sessions share a proxy process; where they do, one wall fewer stands between their secrets"
                    : "Two sessions that may both write to one host can meet there"),
            row(
                "4.4.2 Unbounded network access from containers", [values.rules, values.forwards, values.addresses] + values.egressBudgets,
                [.network, .proxy, .audit],
                values.hasNetwork
                    ? "Only what the rules name leaves, through the proxy, within the budgets, after its intent is in the audit. Nothing is resolved inside"
                    : "Nothing leaves: no rule and no forward, so no proxy is started",
                values.openRules
                    ?? (values.hasNetwork ? "An allowed host can be sent whatever it accepts" : "Results leave by the worker; see their budgets")),
        ]
    }

    private static func runtime(_ values: ControlValues) -> [Row] {
        [
            row(
                "4.4.1 Vulnerabilities within the runtime software", [], [.seccomp, .Landlock, .`init`, .user],
                "bubblewrap makes the view and is gone from it; filter, Landlock and the session's own user are set beside it and do not need it",
                "A fault in bubblewrap, the spawner or `postern-init`. Keep both current"),
            row(
                "4.4.3 Insecure container runtime configurations", [values.requiresAllLayers], [.worker, .audit],
                "No key of a policy adds privileges. The worker attacks a fresh sandbox at start and claims no work unless every boundary holds; a layer "
                    + "that is missing is told at start and recorded",
                "A missing layer is a warning, unless the worker's own setting `require_all_layers` refuses to start"),
            row(
                "4.4.4 App vulnerabilities", [values.protected, values.limit("call_time")], [.seccomp, .Landlock, .limits, .`init`],
                "A tool that is taken over has no privilege, no capability and the session's files only, until its call's time is over",
                "Inside its own session it can do what the agent can"),
            row(
                "4.4.5 Rogue containers", [], [.worker, .audit],
                "Sandboxes are started for claimed sessions only, each start is recorded, and what a killed worker left is swept at the next start",
                "Whoever can start processes on the host can start others beside Postern"),
        ]
    }

    private static func host(_ values: ControlValues) -> [Row] {
        [
            row(
                "4.5.1 Large attack surface", [], [.seccomp, .mounts],
                "About 90 system calls are refused and newer ones do not exist inside; `/sys` is absent, parts of `/proc` are masked",
                "The rest of the host is what its owner installed"),
            row(
                "4.5.2 Shared kernel", [], [.namespaces, .seccomp, .Landlock, .user],
                "Four layers of different kinds stand between an agent and the kernel's privileges",
                "All sessions share one kernel. Where that is not enough, a launcher gives each a machine of its own"),
            row(
                "4.5.4 Improper user access rights", [], [.user, .namespaces],
                "Nothing inside is user 0, outside neither; no capabilities. A root worker gives each session a user of its own",
                "A worker that is not root runs all sessions as its own user"),
            row(
                "4.5.5 Host OS file system tampering", [values.write, values.workspace, values.protected], [.mounts, .Landlock, .user],
                "The root is read-only. Written can be the workspace in its mode, private temporary folders, and trees under `files.write`",
                values.write.value == SchemaKind.none
                    ? "Hidden and protected patterns mean what exists when the sandbox starts" : "Whatever is bound writable is the agent's to change"
            ),
        ]
    }
}
