import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// The threat table as real attacks in real sandboxes: with all layers nothing passes, each layer alone stops what the table gives it,
/// and without any the attacks do pass, so that a row that is stopped is known to be one.
@Suite(.serialized) struct AttackSuite {
    @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0 && access("/usr/bin/setpriv", X_OK) == 0)) func matrix() async throws {
        var matrix = AttackMatrix()
        for column in AttackColumn.possible {
            #if !DEBUG
            // Single layers exist in debug builds only; see `aReleaseBuildHasAllLayers`.
            guard column.unsafeLayers == nil else { continue }
            #endif
            let start = ContinuousClock.now
            let details = try await attack(in: column, &matrix)
            print(
                "attacks with \(column.letter): \(matrix.count(column, .passed)) pass, \(matrix.count(column, .stopped)) are stopped, \(matrix.count(column, .absent)) cannot be tried; \(ContinuousClock.now - start)"
            )
            if getenv("POSTERN_ATTACK_DETAILS") != nil { print(details.joined(separator: "\n")) }
        }
        print(matrix.text)
        let boundaries = matrix.rows.count { $0.kind == "B" }
        print(
            "\(matrix.rows.count) rows, \(boundaries) of boundaries, \(matrix.rows.count - boundaries) of hardening; escapes: \(matrix.escapes.count)"
        )
        #expect(matrix.escapes.isEmpty, "\(matrix.escapes.joined(separator: "\n"))")
        // What is stopped by limits and protection passes without them; but for what the kernel never lets through, and what has to work.
        let stoppedAnyhow = Set(matrix.rows.filter { ![nil, .passed].contains($0.cells[.wide]) }.map(\.name))
        #expect(stoppedAnyhow == ["PROC_SIGNAL_INIT", "FS_GIT_BESIDE", "RES_LOCKED", "RES_LIMITS_RAISED"])
        #if DEBUG
        // The attacks are attacks: most pass where nothing but the kernel's ordinary rules stops them.
        #expect(matrix.count(.none, .passed) > matrix.rows.count / 2)
        if getenv("POSTERN_WRITE_THREAT_MATRIX") != nil {
            let file = open(AttackScripts.matrix, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            let text = Array(matrix.text.utf8)
            #expect(write(file, text, text.count) == text.count)
            close(file)
        }
        let differences = matrix.differences(from: AttackMatrix.cells(of: Processes.text(AttackScripts.matrix) ?? ""))
        #expect(
            differences.isEmpty,
            "docs/threat-matrix.txt says otherwise (POSTERN_WRITE_THREAT_MATRIX=1 writes it anew): \(differences.joined(separator: "; "))")
        #endif
    }

    /// Runs all rows in one sandbox of `column`; the details of each, for a reader.
    private func attack(in column: AttackColumn, _ matrix: inout AttackMatrix) async throws -> [String] {
        let victim = try AttackVictim(column)
        defer { victim.end() }
        let spawner = try await Spawner.launch(column.configuration(key: victim.name + "-session"))
        let scratch = try Scratch(column.isRoot ? .root : .user)
        if geteuid() == 0, !column.isRoot { chown(scratch.path, column.victim, column.victim) }
        var spec = scratch.spec
        spec.limits = column == .wide ? wideLimits : limits
        if column.hasAllLayers {
            spec.limits.memoryBytes = 256 << 20
            spec.limits.diskBytes = 48 << 20
            spec.limits.inodes = 3000
        }
        if column.unsafeLayers == nil { plantRepositories(&spec, scratch, column) }
        let started = try await BubblewrapDriver(spawner: spawner).start(spec)
        guard let sandbox = started as? RunningSandbox else { throw SandboxError(.lost, "not a running sandbox") }
        let isUnsafe = column.unsafeLayers != nil
        #expect(sandbox.layers.isUnsafe == isUnsafe && sandbox.layers.inForce == column.unsafeLayers ?? Set(SandboxLayer.allCases))
        var aims = victim.aims
        aims["all"] = .bool(column.hasAllLayers)
        aims["wide"] = .bool(column == .wide)
        var rows = try await self.rows(in: sandbox, aims)
        for name in ["RES_DISK", "RES_INODES"] where column.unsafeLayers == nil {
            if column.hasAllLayers {
                rows.append(try await attackUntilKilled(name, in: sandbox, aims))
            } else {
                aims["only"] = .string(name)
                aims["patience"] = 0
                rows += try await self.rows(in: sandbox, aims).filter { $0["state"] != "begun" }
            }
        }
        await sandbox.stop()
        if column.hasAllLayers {
            let report = try await spawner.scanWorkspace(scratch.path + "/guarded")
            rows = rows.map { $0["name"] == "FS_GIT_PLANT_BARE" ? judgePlanted($0, report) : $0 }
        }
        await scratch.remove(spawner)
        await spawner.close()
        if column.hasAllLayers { #expect(victim.damage.isEmpty, "\(victim.damage)") }
        return rows.map { row in
            let name = row["name"]?.string ?? ""
            let cell: AttackMatrix.Cell = row["state"] == "passed" ? .passed : row["state"] == "stopped" ? .stopped : .absent
            if let index = matrix.rows.firstIndex(where: { $0.name == name }) {
                matrix.rows[index].cells[column] = cell
            } else {
                matrix.rows.append(.init(name: name, kind: row["kind"]?.string ?? "", layers: row["layers"]?.string ?? "", cells: [column: cell]))
            }
            return "\(column.letter) \(cell.rawValue) \(name): \(row["detail"]?.string ?? "")"
        }
    }

    /// Gives the attacks to a Python inside the sandbox; its answers.
    private func rows(in sandbox: RunningSandbox, _ aims: JSONObject) async throws -> [JSON] {
        let (input, output, errors) = (AttackScripts.file(AttackScripts.program), AttackScripts.file(), AttackScripts.file())
        defer { for file in [input, output, errors] { close(file) } }
        let status = try await sandbox.execute(
            ["/usr/bin/python3", "-I", "-", JSON.object(aims).text], stdin: input, stdout: output, stderr: errors)
        #expect(status == .exited(0), "\(AttackScripts.contents(errors))")
        return try AttackScripts.contents(output).split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
    }

    /// A row that ends by everything around it being killed, as a command of the agent's: the session goes on.
    private func attackUntilKilled(_ name: String, in sandbox: RunningSandbox, _ aims: JSONObject) async throws -> JSON {
        func bash(_ command: String) async throws -> ToolOutcome {
            try await sandbox.call(
                ToolInvocation(id: "sevt_\(name)_\(command.count)", name: "bash", input: ["command": .string(command), "timeout_ms": 60_000]))
        }
        let program = AttackScripts.file(AttackScripts.program)
        let output = AttackScripts.file()
        defer { for file in [program, output] { close(file) } }
        let written = try await sandbox.execute(["/bin/sh", "-c", "cat >attack.py"], stdin: program, stdout: output, stderr: output)
        #expect(written == .exited(0), "\(AttackScripts.contents(output))")
        var aims = aims
        aims["only"] = .string(name)
        // Without a hard limit the workspace is measured, now and then.
        aims["patience"] = 30
        let outcome = try await bash("/usr/bin/python3 -I attack.py '\(JSON.object(aims).text)'")
        let states = try outcome.text.split(separator: "\n").filter { $0.hasPrefix("{") }.map { try JSON(parsing: Array($0.utf8)) }
        guard var row = states.last?.object else { throw SandboxError(.lost, "\(name) did not begin: \(outcome.text)") }
        if row["state"] == "begun" {
            let isKilled = outcome.isError && !outcome.timedOut && outcome.text.contains("killed with everything it had started")
            row["state"] = isKilled ? "stopped" : "passed"
            row["detail"] = .string(outcome.text)
        }
        let after = try await bash("rm -r attack-*; ls")
        #expect(!after.isError && !after.text.contains("attack-"), "\(after.text)")
        return .object(row)
    }

    /// What was planted is stopped where the scan of what the session leaves names the repository and all in it that would run.
    private func judgePlanted(_ row: JSON, _ report: WorkspaceScanReport) -> JSON {
        guard var judged = row.object else { return row }
        let found = report.findings.filter { $0.path.hasPrefix("planted") }.map { "\($0.kind.rawValue) \($0.path)" }
        let expected: Set = ["git_configuration planted", "git_configuration planted/config", "git_hook planted/hooks/post-checkout"]
        // Where nothing could be planted, the row says nothing of the scan.
        let isFound = row["state"] == "passed" && expected.isSubset(of: found)
        judged["state"] = isFound ? "stopped" : "passed"
        judged["detail"] = .string("\(row["detail"]?.string ?? ""): \(found.joined(separator: ", "))")
        return .object(judged)
    }

    /// A workspace with repositories and configuration in it that the policy protects, where it does; see Tests/Attacks/workspace.py.
    private func plantRepositories(_ spec: inout SandboxSpec, _ scratch: Scratch, _ column: AttackColumn) {
        let folder = scratch.path + "/guarded"
        let deep = "/deep/1/2/3/4/5"
        let folders =
            ["", "/deep", "/deep/1", "/deep/1/2", "/deep/1/2/3", "/deep/1/2/3/4", deep, "/.claude", "/.vscode"]
            + ["", deep].flatMap { ["\($0)/.git", "\($0)/.git/hooks", "\($0)/.git/objects"] }
        let files =
            ["/.claude/settings.json", "/.mcp.json", "/.vscode/tasks.json", "/.gitmodules", "/CLAUDE.md"]
            + ["", deep].flatMap { ["\($0)/.git/config", "\($0)/.git/hooks/pre-commit"] }
        for path in folders { mkdir(folder + path, 0o755) }
        for path in files { close(open(folder + path, O_WRONLY | O_CREAT, 0o644)) }
        let owner = column.isRoot ? 4321 : column.victim
        if geteuid() == 0 { for path in folders + files { lchown(folder + path, owner, owner) } }
        spec.workspace = .folder(folder)
        guard column.hasAllLayers else { return }
        spec.protected = [
            "**/.git/hooks", "**/.git/config", "**/.claude/settings.json", "**/.mcp.json", "**/.vscode/tasks.json", "**/.gitmodules", "CLAUDE.md",
        ]
    }

    /// Small, so that what is to be bounded is bounded soon.
    private var limits: SandboxLimits {
        var limits = SandboxLimits()
        limits.processes = 200
        limits.fileBytes = 32 << 20
        limits.openFiles = 256
        limits.temporaryBytes = 16 << 20
        return limits
    }

    /// Beyond all that the attacks ask for.
    private var wideLimits: SandboxLimits {
        var limits = SandboxLimits()
        limits.processes = 4096
        limits.memoryBytes = nil
        limits.openFiles = 10_000
        limits.temporaryBytes = 512 << 20
        return limits
    }

    /// A matrix that has changed is seen: the comparison itself is attacked.
    @Test func seesChangedCells() {
        var matrix = AttackMatrix()
        matrix.rows = [
            .init(name: "A", kind: "B", layers: "MS", cells: [.none: .passed, .mounts: .stopped, .allAsRoot: .stopped, .allAsUser: .stopped])
        ]
        let committed = AttackMatrix.cells(of: matrix.text)
        #expect(committed["A"]?[.none] == .passed && committed["A"]?[.mounts] == .stopped && committed["A"]?[.allAsUser] == .stopped)
        #expect(matrix.differences(from: committed).isEmpty && matrix.escapes.isEmpty)
        matrix.rows[0].cells[.allAsUser] = .passed
        #expect(matrix.differences(from: committed) == ["A in all/user: committed '.', now 'X'"])
        #expect(matrix.escapes == ["A passes all/user"])
        matrix.rows[0].cells[.allAsUser] = .absent
        matrix.rows[0].cells[.mounts] = .passed
        #expect(matrix.escapes == ["A passes M"])
        #expect(matrix.differences(from: committed) == ["A in M: committed '.', now 'X'"])
        // On a machine where the attack does not work anyhow, a layer has nothing to show.
        matrix.rows[0].cells[.none] = .stopped
        #expect(matrix.differences(from: committed).isEmpty)
        matrix.rows[0].name = "B"
        #expect(matrix.differences(from: committed) == ["B is not in the committed matrix", "A is in the committed matrix only"])
    }

    /// Production code cannot get a sandbox with fewer layers by a slip of its own: the option does not exist in what is shipped.
    @Test func aReleaseBuildHasAllLayers() async throws {
        var configuration = Mode.possible[0].configuration
        configuration.unsafeLayers = [.mounts, .namespaces]
        #if DEBUG
        let spawner = try await Spawner.launch(configuration)
        await spawner.close()
        #else
        await #expect(throws: SandboxError.self) { try await Spawner.launch(configuration) }
        #endif
        // Nor by another word for it.
        configuration.unsafeLayers = nil
        configuration.prefix += []
        let whole = try await Spawner.launch(configuration)
        let scratch = try Scratch()
        let sandbox = try await BubblewrapDriver(spawner: whole).start(scratch.spec) as? RunningSandbox
        #expect(sandbox?.layers.missing == [] && sandbox?.layers.isUnsafe == false && (sandbox?.layers.landlockABI ?? 0) >= 2)
        await sandbox?.stop()
        await scratch.remove(whole)
        await whole.close()
    }
}
