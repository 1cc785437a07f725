import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Tries to get out of a fresh sandbox, before any work is claimed. A boundary that does not hold here would not hold against an agent.
struct BoundaryCheck {
    let driver: any SandboxDriver

    /// Each line of its output names a rule that does not hold. What a check needs and does not find counts as not holding.
    private static let script = #"""
        fails() { echo "$1"; }
        [ "$(id -u)" != 0 ] || fails "the user inside is root"
        status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
        [ "$(status CapEff)" = 0000000000000000 ] && [ "$(status CapBnd)" = 0000000000000000 ] || fails "there are capabilities"
        [ "$(status NoNewPrivs)" = 1 ] || fails "new privileges can be gained"
        [ "$(status Seccomp)" = 2 ] || fails "there is no seccomp filter"
        [ ! -e "$1" ] || fails "a file of the host can be seen"
        [ "$(ls -d /proc/[0-9]* | wc -l)" -lt 16 ] || fails "processes of the host can be seen"
        [ "$(tail -n +3 /proc/net/dev | grep -vc '^ *lo:')" = 0 ] || fails "there is a network interface"
        (exec 3<>/dev/tcp/192.0.2.1/80) 2>/dev/null && fails "a network can be reached"
        (: >/usr/postern-check) 2>/dev/null && fails "/usr can be written"
        (: >/postern-check) 2>/dev/null && fails "the root folder can be written"
        (echo 1 >/proc/sys/vm/drop_caches) 2>/dev/null && fails "settings of the kernel can be written"
        unshare --user true 2>/dev/null && fails "another user namespace can be made"
        tr '\0' '\n' </proc/1/environ 2>/dev/null | grep -qE '^(ANTHROPIC|POSTERN)_' && fails "variables of the worker can be seen"
        exit 0
        """#

    /// - Throws: `SandboxError` that names every rule that does not hold.
    func run() async throws {
        let scratch = try ScratchFolder("postern-check")
        defer { scratch.remove() }
        // So that another user who can see the host can see that the report is there; its content stays closed.
        chmod(scratch.path, 0o711)
        let report = scratch.path + "/report"
        let file = open(report, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer {
            close(file)
            close(null)
        }
        guard file >= 0, null >= 0 else { throw SandboxError(.startFailed, "the sandbox cannot be checked: no file can be made in \(scratch.path)") }
        let folder = scratch.path + "/session"
        let sandbox = try await driver.start(
            SandboxSpec(sessionID: "check", workspace: .managed(directory: folder), toolOutputs: folder + "-outputs"))
        let status: PosternSandbox.ExitStatus
        do {
            status = try await sandbox.execute(["/bin/bash", "-c", Self.script, "check", report], stdin: null, stdout: file, stderr: null)
        } catch {
            await sandbox.stop()
            throw error
        }
        await sandbox.stop()
        if let spawner = (driver as? BubblewrapDriver)?.spawner {
            for name in [folder, folder + "-outputs"] { try? await spawner.removeFolder(name) }
        }
        let broken = try TextFile.read(report).split(separator: "\n")
        guard status == .exited(0), broken.isEmpty else {
            let rules = broken.isEmpty ? "the check itself ended with status \(status.shellCode)" : broken.joined(separator: ", ")
            throw SandboxError(.unavailable, "the sandbox does not hold on this machine, so no work is claimed: \(rules)")
        }
    }
}
