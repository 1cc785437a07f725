import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// Attacks a fresh sandbox of the policy in force from inside, before any work is claimed and whenever asked: a boundary that does not hold
/// here would not hold against an agent.
package struct SandboxSelfTest: Sendable {
    private let driver: any SandboxDriver
    private let folder: String
    private let shape: SandboxShape

    /// - Parameters:
    ///   - folder: a folder of the worker's own for the test's files; what the test makes in it is gone afterwards.
    ///   - shape: what the policy in force makes of a sandbox.
    package init(driver: any SandboxDriver, folder: String, shape: SandboxShape = SandboxShape()) {
        self.driver = driver
        self.folder = folder
        self.shape = shape
    }

    /// - Throws: when no sandbox could be started, or it was lost. What is found is in the report.
    package func run() async throws(SandboxError) -> SelfTestReport {
        let clock = ContinuousClock()
        let start = clock.now
        let secret = "\(UInt64.random(in: .min ... .max))-\(UInt64.random(in: .min ... .max))"
        let canary = folder + "/self-test-canary-\(secret.prefix(8))"
        if let bind = shape.binds.first(where: { "\(folder)/".hasPrefix("\($0.hostPath)/") }) {
            throw SandboxError(
                .refused, "the folder of the self-test, '\(folder)', is in '\(bind.hostPath)', which the sandbox is shown: set TMPDIR to another")
        }
        try Self.write(secret, to: canary)
        defer { unlink(canary) }
        let spec = spec(named: "self-test-\(secret.prefix(8))")
        var findings: [SelfTestReport.Finding]
        do throws(SandboxError) {
            let planted = try await plant(spec, secret)
            findings = try await within(spec) { sandbox async throws(SandboxError) in
                var findings = try await attack(sandbox, spec, canary)
                findings.append(try await attackFileTools(sandbox, canary, secret))
                if let planted { findings.append(try await attackFileRules(sandbox, planted, secret)) }
                if let running = sandbox as? RunningSandbox { findings += Self.layers(running) }
                return findings
            }
        } catch {
            await removeFolders(spec)
            throw error
        }
        await removeFolders(spec)
        return SelfTestReport(findings: findings, milliseconds: Int((clock.now - start) / .milliseconds(1)))
    }

    /// Runs `body` in a sandbox that is gone afterwards.
    private func within<Value>(
        _ spec: SandboxSpec, _ body: (any Sandbox) async throws(SandboxError) -> Value
    ) async throws(SandboxError) -> Value {
        let sandbox = try await driver.start(spec)
        do throws(SandboxError) {
            let value = try await body(sandbox)
            await sandbox.stop()
            return value
        } catch {
            await sandbox.stop()
            throw error
        }
    }

    private func spec(named name: String) -> SandboxSpec {
        var spec = SandboxSpec(
            sessionID: "self-test", workspace: .managed(directory: "\(folder)/\(name)"), toolOutputs: "\(folder)/\(name)-outputs",
            limits: Self.patient(shape.limits))
        spec.workspaceMode = shape.workspaceMode
        if spec.workspaceMode == .copyOnWrite { spec.changes = "\(folder)/\(name)-changes" }
        (spec.binds, spec.hidden, spec.protected) = (shape.binds, shape.hidden, shape.protected)
        spec.listeners = shape.listeners
        return spec
    }

    /// The same bounds, by the same means, but not so narrow in time that the test could not come to its end.
    private static func patient(_ limits: SandboxLimits) -> SandboxLimits {
        var limits = limits
        limits.cpuPercent = limits.cpuPercent.map { max(100, $0) }
        limits.cpuSeconds = limits.cpuSeconds.map { max(60, $0) }
        limits.ioBytesPerSecond = limits.ioBytesPerSecond.map { max(16 << 20, $0) }
        limits.callTimeoutMilliseconds = max(30_000, limits.callTimeoutMilliseconds)
        limits.toolTimeoutMilliseconds = max(30_000, limits.toolTimeoutMilliseconds)
        return limits
    }

    private func removeFolders(_ spec: SandboxSpec) async {
        guard let spawner = (driver as? BubblewrapDriver)?.spawner ?? (driver as? NoneDriver)?.spawner else { return }
        guard case .managed(let workspace) = spec.workspace else { return }
        for path in [workspace, spec.toolOutputs] + (spec.changes.map { [$0] } ?? []) { try? await spawner.removeFolder(path) }
    }

    /// Runs the script and reads what it says of each boundary.
    private func attack(_ sandbox: any Sandbox, _ spec: SandboxSpec, _ canary: String) async throws(SandboxError) -> [SelfTestReport.Finding] {
        let binds = spec.binds.map { ($0.isWritable ? "w:" : "r:") + $0.path }
        let (text, status) = try await run(SelfTestScript.text, [canary, spec.workspaceMode.rawValue] + binds, in: sandbox)
        return Self.findings(in: text, status: status)
    }

    // MARK: File rules

    /// Puts files into the workspace that the policy hides and protects, from a sandbox without those rules: they are the session user's.
    /// - Returns: the rules whose files are there; `nil` where the policy has none for a workspace.
    private func plant(_ spec: SandboxSpec, _ secret: String) async throws(SandboxError) -> [String]? {
        let rules = FileRuleSamples(shape).arguments
        guard !rules.isEmpty else { return nil }
        var open = spec
        (open.workspaceMode, open.changes) = (.readWrite, nil)
        (open.binds, open.hidden, open.protected, open.listeners) = ([], [], [], [])
        let (text, status) = try await within(open) { sandbox async throws(SandboxError) in
            try await run(FileRuleScripts.plant, [secret] + rules, in: sandbox)
        }
        let planted = text.split(separator: "\n").compactMap { Int($0) }.filter { (1...rules.count).contains($0) }.map { rules[$0 - 1] }
        guard status == .exited(0), !planted.isEmpty else {
            throw SandboxError(.startFailed, "the file rules cannot be tested: no file could be put into a workspace (status \(status.shellCode))")
        }
        return planted
    }

    private func attackFileRules(_ sandbox: any Sandbox, _ rules: [String], _ secret: String) async throws(SandboxError) -> SelfTestReport.Finding {
        let (text, status) = try await run(FileRuleScripts.attack, [secret] + rules, in: sandbox)
        return Self.findings(in: text, of: [FileRuleScripts.boundary], status: status)[0]
    }

    /// What a script says, and how it ended.
    private func run(
        _ script: String, _ arguments: [String], in sandbox: any Sandbox
    ) async throws(SandboxError) -> (text: String, status: ExitStatus) {
        let output = psb_memory_file("self-test")
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer {
            close(output)
            close(null)
        }
        guard output >= 0, null >= 0 else { throw SandboxError(.unavailable, "no descriptors are left for the self-test") }
        let status = try await sandbox.execute(["/bin/bash", "-c", script, "self-test"] + arguments, stdin: null, stdout: output, stderr: null)
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = pread(output, &bytes, bytes.count, 0)
        return (String(decoding: bytes[..<max(0, count)], as: UTF8.self), status)
    }

    /// One finding for each boundary: the one that it was said of first. What the script did not come to is not known to hold.
    static func findings(
        in text: String, of boundaries: [String] = SelfTestScript.boundaries, status: ExitStatus
    ) -> [SelfTestReport.Finding] {
        var said: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, said[String(parts[0])] == nil { said[String(parts[0])] = String(parts[1]) }
        }
        return boundaries.map { name in
            switch said[name] {
            case "holds": SelfTestReport.Finding(name, .holds)
            case .some(let detail): SelfTestReport.Finding(name, .fails, String(detail.prefix(500)))
            case nil: SelfTestReport.Finding(name, .fails, "not tested: the test ended with status \(status.shellCode)")
            }
        }
    }

    /// The file tools by the host's path, and through a link.
    private func attackFileTools(_ sandbox: any Sandbox, _ canary: String, _ secret: String) async throws(SandboxError) -> SelfTestReport.Finding {
        let link = "ln -sfn '\(canary)' /tmp/self-test-link; ln -sfn / /tmp/self-test-root"
        _ = try await sandbox.call(ToolInvocation(id: "self_test_0", name: "bash", input: ["command": .string(link)]))
        let paths = [canary, "/tmp/self-test-link", "/tmp/self-test-root" + canary, "/workspace/../" + canary]
        for (index, path) in paths.enumerated() {
            let outcome = try await sandbox.call(ToolInvocation(id: "self_test_\(index + 1)", name: "read", input: ["file_path": .string(path)]))
            if !outcome.isError || JSON.array(outcome.content).text.contains(secret) {
                return SelfTestReport.Finding("file_tools", .fails, "a file of the host can be read")
            }
        }
        return SelfTestReport.Finding("file_tools", .holds)
    }

    /// What the sandbox says of its own layers, and who enforces its limits.
    private static func layers(_ sandbox: RunningSandbox) -> [SelfTestReport.Finding] {
        let layers = sandbox.layers
        var findings: [SelfTestReport.Finding] = []
        findings.append(
            sandbox.user == 0
                ? SelfTestReport.Finding("host_user", .fails, "the user outside is root") : SelfTestReport.Finding("host_user", .holds))
        if layers.isUnsafe { findings.append(.init("layers", .fails, "layers were switched off for tests")) }
        findings += layers.missing.map { SelfTestReport.Finding("layer_\($0.rawValue)", .degraded, "the layer \($0.rawValue)") }
        for limit in LimitReport.Limit.allCases {
            guard let enforcement = sandbox.limitReport[limit] else { continue }
            switch enforcement {
            case .kernel: findings.append(.init("limit_\(limit.rawValue)", .holds))
            case .partial(let text), .soft(let text), .none(let text):
                findings.append(.init("limit_\(limit.rawValue)", .degraded, "a full limit of \(limit.rawValue) (\(text))"))
            }
        }
        return findings
    }

    private static func write(_ text: String, to path: String) throws(SandboxError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard file >= 0 else {
            throw SandboxError(.startFailed, "the sandbox cannot be tested: \(path) cannot be made: \(SystemError.reason(errno))")
        }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard Glibc.write(file, bytes, bytes.count) == bytes.count else {
            throw SandboxError(.startFailed, "the sandbox cannot be tested: \(path) cannot be written: \(SystemError.reason(errno))")
        }
    }
}
