import PosternAudit
import PosternJSON
import PosternPolicy
import PosternSandbox
import PosternSandboxWire

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What a tool call did with files that the audit must know: outputs that were offloaded, and accesses that were refused. The kernel refuses,
/// by mounts and Landlock; here it is only said by which rule.
struct FileRecords: Sendable {
    let rules: LiveRules
    let denials: MandatoryDenials
    let audit: AuditLog
    let sessionID: String
    let workID: String
    /// The host's folder of the session's offloaded outputs.
    let outputs: String
    /// See `WorkerConfiguration`.
    var openOutput: (@Sendable (_ folder: String, _ name: String) async -> Int32?)?
    let timestamp: @Sendable () -> String

    /// Records what came of a call.
    func record(_ call: ToolCall, _ outcome: ToolOutcome) async throws(FileError) {
        if let path = outcome.offloadedTo { try await write(.offloaded(await offload(path, bytes: outcome.outputBytes)), call) }
        guard let refusal = outcome.refusal, let decision = decision(behind: refusal, of: call) else { return }
        try await write(.fileDecision(decision), call)
    }

    private func write(_ kind: AuditRecord.Kind, _ call: ToolCall) async throws(FileError) {
        try await audit.append(
            AuditRecord(time: timestamp(), sessionID: sessionID, workID: workID, callID: call.id, tool: call.name, kind: kind), durable: false)
    }

    // MARK: Refused files

    /// The decision behind a file tool's refusal; `nil` for a call that names no path, or without a policy.
    func decision(behind refusal: FileRefusal, of call: ToolCall) -> AuditRecord.FileDecision? {
        guard let operation = Self.operations[call.name],
            let path = (call.input["file_path"] ?? call.input["path"])?.string, let policy = rules.current?.policy
        else { return nil }
        let shown = String(path.prefix(Self.longestPath))
        let refused = { (rule: String) in
            AuditRecord.FileDecision(operation: operation.name, path: shown, isAllowed: false, rule: rule)
        }
        guard refusal == .kernel else { return refused(refusal.rawValue) }
        let decision = Self.target(path).map { policy.files.decide($0, workspace: policy.workspace, denials: denials) }
        guard let decision, decision.access < operation.access else { return refused(refusal.rawValue) }
        return refused(decision.rule ?? "mandatory")
    }

    /// What each file tool wants to do with its path.
    private static let operations: [String: (name: String, access: FileAccess)] = [
        "read": ("read", .read), "glob": ("read", .read), "grep": ("read", .read), "write": ("write", .write), "edit": ("write", .write),
    ]
    private static let longestPath = 1024

    /// A path as the model wrote it: by text, so that a link in it is not followed.
    static func target(_ path: String) -> FileTarget? {
        let absolute = path.hasPrefix("/") ? path : SandboxPaths.workspace + "/" + path
        var parts: [String] = []
        for part in absolute.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
        }
        let workspace = SandboxPaths.workspace.split(separator: "/").map(String.init)
        if parts.starts(with: workspace) { return .workspace(Array(parts.dropFirst(workspace.count))) }
        return (try? HostPath("/" + parts.joined(separator: "/"))).map { .host($0) }
    }

    // MARK: Offloaded outputs

    private func offload(_ path: String, bytes: Int) async -> AuditRecord.Offload {
        let key = audit.key
        guard let file = await opened(String(path.split(separator: "/").last ?? "")) else {
            return AuditRecord.Offload(path: path, bytes: bytes, digest: nil)
        }
        let digest = try? await Blocking.run { () throws(FileError) in
            defer { close(file) }
            return key.digest(.output, file: file)
        }
        return AuditRecord.Offload(path: path, bytes: bytes, digest: digest ?? nil)
    }

    /// The session can write to that folder: no link is followed, and a FIFO holds nobody.
    private func opened(_ name: String) async -> Int32? {
        guard !name.isEmpty, name != "..", name != "." else { return nil }
        if let openOutput { return await openOutput(outputs, name) }
        let path = "\(outputs)/\(name)"
        let file = try? await Blocking.run { () throws(FileError) in open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) }
        return file.flatMap { $0 >= 0 ? $0 : nil }
    }
}
