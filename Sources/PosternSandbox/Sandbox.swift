import PosternJSON
import PosternSandboxWire

/// Makes sandboxes. `bubblewrap` and `none` are drivers.
package protocol SandboxDriver: Sendable {
    /// The name in `--sandbox`.
    var name: String { get }

    /// Starts a sandbox and waits until it answers.
    func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox
}

/// One running sandbox: a session's processes and files, warm between calls.
package protocol Sandbox: Sendable {
    /// Runs one call of `agent_toolset_20260401`: bash, read, write, edit, glob, grep. A tool's own failure is an outcome. Bash calls
    /// run one after another; file tools run beside them. Cancelling the task kills the call's processes, for bash all of the sandbox's.
    func call(_ invocation: ToolInvocation) async throws(SandboxError) -> ToolOutcome

    /// Runs a program with the given descriptors, which stay the caller's. Cancelling the task kills everything in the sandbox.
    func execute(_ command: [String], stdin: Int32, stdout: Int32, stderr: Int32) async throws(SandboxError) -> ExitStatus

    /// Kills everything inside and waits until it is gone. Idempotent.
    func stop() async

    /// Returns when the sandbox has ended, by `stop` or by itself, with the reason.
    func ended() async -> String

    /// Stops every process inside where it stands, and returns when all stand still: how many those are, the sandbox's own among them.
    @discardableResult
    func freeze() async throws(SandboxError) -> Int

    /// Lets them run again.
    func thaw() async throws(SandboxError)

    /// How many processes there are inside, frozen or not; `nil` where nobody can say.
    func processCount() async -> Int?
}

extension Sandbox {
    // For kinds of sandboxes that cannot: who asks is told so and can stop them instead.
    @discardableResult
    package func freeze() async throws(SandboxError) -> Int {
        throw SandboxError(.unavailable, "this kind of sandbox cannot be frozen, only stopped")
    }
    package func thaw() async throws(SandboxError) { throw SandboxError(.unavailable, "this kind of sandbox cannot be frozen, only stopped") }
    package func processCount() async -> Int? { nil }
}

/// A sandbox that hands sockets of its own network namespace out.
package protocol ListeningSandbox: Sandbox {
    /// On port 3128 of its loopback; -1 where there is none. It stays the sandbox's.
    var listener: Int32 { get }
    /// The sockets of `SandboxSpec.listeners`, in their order. They stay the sandbox's.
    var listeners: [Int32] { get }
}

/// The end of a program.
package enum ExitStatus: Sendable, Hashable {
    case exited(Int32)
    case signalled(Int32)

    /// As a shell shows it.
    package var shellCode: Int32 {
        switch self {
        case .exited(let code): code
        case .signalled(let signal): 128 + signal
        }
    }
}

/// Where a session works.
package enum WorkspaceSource: Sendable, Hashable {
    /// A folder of Postern's own, made if missing, born owned by the session's user.
    case managed(directory: String)
    /// A folder of the user's, served as it is; its owner is mapped, nothing in it changes hands.
    case folder(String)
}

/// What a sandbox is to be.
package struct SandboxSpec: Sendable {
    /// For logs.
    package var sessionID: String
    package var workspace: WorkspaceSource
    package var workspaceMode = WorkspaceMode.readWrite
    /// Host folder that keeps the changes of a copy-on-write workspace, outside the workspace, made if missing. One session each.
    package var changes: String?
    /// Files and folders of the host that are shown inside.
    package var binds: [SandboxBind] = []
    /// Patterns (`PathGlob`) of what in the workspace the session may not see, and may not change; looked for when the sandbox starts.
    /// Hidden wins. Links are not followed: what a link leads to is hidden by its own name.
    package var hidden: [String] = []
    package var protected: [String] = []
    /// Host folder of this session's offloaded outputs, outside the workspace, made if missing. One session each.
    package var toolOutputs: String
    /// Variables of every process inside. Names beginning with ANTHROPIC_ or POSTERN_ are refused.
    package var environment: [(name: String, value: String)]
    package var limits: SandboxLimits
    /// Ports of the sandbox's loopback that are served from outside, beside the proxy's. One for UDP 53 also makes that the resolver.
    package var listeners: [SandboxListener] = []
    /// PEM certificate of an authority that programs inside are to trust, in `SandboxPaths.certificates` beside the system's; `nil` for none.
    package var certificate: String?
    /// Characters from which on an output is offloaded; 1 to 400,000.
    package var offloadThreshold: Int

    /// `/workspace` is read-only.
    package var isWorkspaceReadOnly: Bool {
        get { workspaceMode == .readOnly }
        set { workspaceMode = newValue ? .readOnly : .readWrite }
    }

    package init(
        sessionID: String, workspace: WorkspaceSource, toolOutputs: String, environment: [(name: String, value: String)] = [],
        limits: SandboxLimits = SandboxLimits(), offloadThreshold: Int = 100_000
    ) {
        self.sessionID = sessionID
        self.workspace = workspace
        self.toolOutputs = toolOutputs
        self.environment = environment
        self.limits = limits
        self.offloadThreshold = offloadThreshold
    }
}

/// One tool call.
package struct ToolInvocation: Sendable {
    /// The event id; names the offload file.
    package var id: String
    package var name: String
    package var input: JSON

    package init(id: String, name: String, input: JSON) {
        self.id = id
        self.name = name
        self.input = input
    }
}

/// What a tool call gave.
package struct ToolOutcome: Sendable {
    /// Content blocks, ready for `user.tool_result`; never empty, no empty text.
    package var content: [JSON]
    package var isError: Bool
    /// Of the input's JSON text.
    package var inputBytes: Int
    /// Of the whole output, offloaded or not, in UTF-8.
    package var outputBytes: Int
    package var outputLines: Int
    /// Path inside the sandbox of the whole output, when `content` is a preview of it.
    package var offloadedTo: String?
    /// Of bash commands that ended by themselves.
    package var exitCode: Int32?
    package var duration: Duration
    package var timedOut: Bool
    /// Of a file tool that was kept from its path.
    package var refusal: FileRefusal?
}
