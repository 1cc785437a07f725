import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Checks of the sandbox: what the machine offers, and whether a sandbox starts and holds.
enum SandboxChecks {
    static func all() async -> [Finding] {
        let spawner: Spawner
        do {
            spawner = try await Spawner.launch()
        } catch {
            return [.missing("sandbox", error.message, "put postern-init beside postern, or name it in POSTERN_INIT_PATH")]
        }
        var findings = SandboxProbe(spawner: spawner.greeting).findings.map(Finding.init)
        findings.append(
            spawner.greeting.isRoot
                ? .good("users", "each session gets a user of its own")
                : .limited(
                    "users", "every session runs as user \(spawner.greeting.user)", HardeningItem.sessionUsers.remedy))
        if !findings.contains(where: { $0.verdict == .missing }) { findings.append(await start(spawner)) }
        await spawner.close()
        return findings
    }

    private static func start(_ spawner: Spawner) async -> Finding {
        let subject = "sandbox"
        do {
            let scratch = try ScratchFolder("postern-doctor")
            defer { scratch.remove() }
            let spec = SandboxSpec(
                sessionID: "doctor", workspace: .managed(directory: scratch.path + "/workspace"), toolOutputs: scratch.path + "/outputs")
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            defer { close(null) }
            let clock = ContinuousClock.now
            let sandbox = try await BubblewrapDriver(spawner: spawner).start(spec)
            let time = ContinuousClock.now - clock
            let status = try await sandbox.execute(["/bin/true"], stdin: null, stdout: null, stderr: null)
            await sandbox.stop()
            for name in ["workspace", "outputs"] { try? await spawner.removeFolder(scratch.path + "/" + name) }
            let milliseconds = (time / .milliseconds(1) * 10).rounded() / 10
            guard status == .exited(0) else { return .missing(subject, "/bin/true ended with \(status.shellCode) inside", "see the lines above") }
            return .good(subject, "started in \(milliseconds) ms")
        } catch let error as SandboxError {
            return .missing(subject, error.message, "see the lines above")
        } catch {
            return .missing(subject, "\(error)", "see the lines above")
        }
    }
}

extension Finding {
    init(_ finding: SandboxProbe.Finding) {
        let verdict: Verdict =
            switch finding.verdict {
            case .good: .good
            case .degraded: .limited
            case .missing: .missing
            }
        self.init(verdict: verdict, subject: finding.name, detail: finding.detail, remedy: finding.remedy.isEmpty ? nil : finding.remedy)
    }
}
