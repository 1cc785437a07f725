import PosternJSON
import PosternSandboxWire
import Testing

@Suite struct WorkspaceRuleTests {
    private func path(_ text: String) -> [[UInt8]] { text.split(separator: "/").map { Array($0.utf8) } }

    @Test func matchesPatterns() throws {
        func matches(_ pattern: String, _ text: String) throws -> Bool { try #require(PathGlob(pattern)).matches(path(text)) }
        #expect(try matches(".env", ".env") && !matches(".env", "a/.env") && matches("**/.env", ".env") && matches("**/.env", "a/b/.env"))
        #expect(try matches("a/*.key", "a/x.key") && !matches("a/*.key", "a/b/x.key") && matches("a/**/x", "a/x") && matches("a/**/x", "a/b/c/x"))
        #expect(try matches("?.txt", "a.txt") && !matches("?.txt", "ab.txt") && matches("*a*b*", "xxaxxbxx") && !matches("*a*b", "ba"))
        #expect(try matches("secrets/", "secrets") && matches("**", "a/b") && matches("a/**", "a/b/c"))
        #expect(try #require(PathGlob("a/b/*.key")).canMatchBelow(path("a/b")) && !#require(PathGlob("a/b/*.key")).canMatchBelow(path("a/c")))
        #expect(try #require(PathGlob("**/x")).canMatchBelow(path("q/r/s")) && !#require(PathGlob("a")).canMatchBelow(path("a")))
        for wrong in ["", "/", "/a", "a//b", "../a", "a/./b", "a/..", "a\0b"] { #expect(PathGlob(wrong) == nil, "\(wrong)") }
        // A hostile pattern costs no more than its length times the name's.
        #expect(try !matches(String(repeating: "*a", count: 100) + "b", String(repeating: "a", count: 250)))
        #expect(
            try !matches(Array(repeating: "**", count: 60).joined(separator: "/") + "/b", Array(repeating: "a", count: 200).joined(separator: "/")))
    }

    @Test func refusesPlacesOfTheSandboxsOwn() {
        for place in [
            "/", "/usr", "/etc", "/etc/shadow", "/proc", "/proc/1", "/dev/sda", "/workspace", "/tmp", "/home/agent", "/run/postern/init", "/sys/fs",
            "/mnt/session", "/mnt/session/tool_outputs", "/mnt/session/tool_outputs/x", "relative", "/a/../etc", "/a//b", "/a/", "/a/./b", "",
        ] { #expect(SandboxBind.refusal(ofPlace: place) != nil, "\(place)") }
        for place in ["/srv/data", "/home/alice/project", "/opt/tools", "/workspace/vendor", "/mnt/models"] {
            #expect(SandboxBind.refusal(ofPlace: place) == nil, "\(place)")
        }
    }

    private func kinds(_ text: String, _ kind: WorkspaceRules.EntryKind = .file, mode: UInt32 = 0o644, target: String? = nil) -> Set<
        WorkspaceScanReport.Kind
    > {
        Set(WorkspaceRules.findings(path(text), kind, mode: mode, target: target.map { Array($0.utf8) }).map(\.kind))
    }

    @Test func findsLinksThatLeadOut() {
        for target in ["/etc/passwd", "/workspace/a", "../x", "../../x", "b/../../x", "a/..", "./../x"] {
            #expect(kinds("link", .link, target: target) == [.linkOut], "\(target)")
        }
        for target in ["x", "./x", "a/b", "."] { #expect(kinds("link", .link, target: target).isEmpty, "\(target)") }
        #expect(kinds("a/b/link", .link, target: "../../x").isEmpty)
        #expect(kinds("a/b/link", .link, target: "../../../x") == [.linkOut])
    }

    @Test func findsWhatIsNoFile() {
        #expect(kinds("x", .device) == [.device] && kinds("x", .socket) == [.socket] && kinds("x", .fifo) == [.fifo])
        #expect(kinds("x", mode: 0o4755) == [.setID] && kinds("x", .folder, mode: 0o2755) == [.setID] && kinds("x", mode: 0o1777).isEmpty)
        #expect(kinds("a\u{1B}[2J") == [.unsafeName] && kinds("a\nb") == [.unsafeName] && kinds("a\u{202E}gnp.exe") == [.unsafeName])
        #expect(kinds("größe") == [] && NameText.of(Array("a\u{1B}\\ü".utf8)) == "a\\x1b\\\\ü" && NameText.of([0xFF, 0x41]) == "\\xffA")
    }

    @Test func findsHooksAndAgents() {
        #expect(kinds(".git/hooks/pre-commit", mode: 0o755) == [.gitHook] && kinds(".git/hooks/pre-commit.sample", mode: 0o755).isEmpty)
        #expect(kinds(".git/modules/sub/hooks/post-checkout") == [.gitHook] && kinds("bare.git/hooks/update") == [.gitHook])
        #expect(kinds(".GIT/HOOKS/pre-commit", mode: 0o755) == [.gitHook] && kinds("src/hooks/use.ts").isEmpty)
        #expect(kinds("sub/.git", .file) == [.gitConfiguration] && kinds("sub/.git", .folder).isEmpty)
        for name in [".claude", ".mcp.json", ".vscode", "pkg/.idea", "AGENTS.md", "x.code-workspace", ".github/workflows", ".bashrc", "a/.envrc"] {
            #expect(kinds(name, .folder) == [.agentConfiguration], "\(name)")
        }
        // The topmost name says it; what is below adds nothing.
        #expect(kinds(".claude/settings.json").isEmpty)
    }

    @Test func findsSettingsThatRunPrograms() {
        let text = """
            [core]
            \tfsmonitor = /tmp/evil
            \thooksPath=../hooks
            \tbare = false
            [alias]
            \tok = status
            \tbad = !sh -c id
            [filter "lfs"] clean = git-lfs clean
            [Diff "x"]
            \ttextConv = strings
            [remote "origin"]
            \turl = https://example.com/x
            \tuploadpack = evil
            [submodule "s"]
            \tupdate = "!evil"
            [include] path = /etc/x
            ; core.fsmonitor = comment
            """
        #expect(
            WorkspaceRules.gitSettings(text) == [
                "core.fsmonitor", "core.hookspath", "alias.bad", "filter.clean", "diff.textconv", "remote.uploadpack", "submodule.update",
                "include.path",
            ])
        #expect(WorkspaceRules.gitSettings("[user]\n name = x\n[core]\n\trepositoryformatversion = 0\n").isEmpty)
        #expect(WorkspaceRules.isGitConfiguration(path("a/.git/config")) && WorkspaceRules.isGitConfiguration(path(".gitmodules")))
        #expect(!WorkspaceRules.isGitConfiguration(path("config")) && WorkspaceRules.isGitConfiguration(path(".git/modules/x/config")))
    }

    /// FS_GIT_PLANT_BARE: git takes a folder for a repository by what is in it.
    @Test func findsRepositoriesByWhatIsInThem() {
        func found(_ folder: String, _ entries: String) -> String? {
            WorkspaceRules.bareRepository(path(folder), entries: entries.split(separator: " ").map { Array($0.utf8) })?.path
        }
        #expect(found("", "HEAD objects refs config a b") == "." && found("a/b", "HEAD objects refs") == "a/b")
        // A repository whose objects are elsewhere, and one for file systems without case.
        #expect(found("a", "HEAD commondir") == "a" && found("a", "head Objects REFS") == "a")
        for entries in ["", "HEAD", "objects refs config", "HEAD objects config", "HEAD refs"] { #expect(found("a", entries) == nil, "\(entries)") }
        // Those are found by their names.
        for folder in [".git", "a/.git", "bare.git", ".git/modules/sub", ".git/worktrees/x"] {
            #expect(found(folder, "HEAD objects refs commondir") == nil, "\(folder)")
        }
        let hook = WorkspaceRules.findings(path("a/hooks/update"), .file, mode: 0o755, target: nil, belowRepository: 2)
        #expect(hook.map(\.kind) == [.gitHook])
        #expect(WorkspaceRules.findings(path("a/hooks/x/update"), .file, mode: 0o755, target: nil).isEmpty)
        #expect(WorkspaceRules.isGitConfiguration(path("a/config"), belowRepository: 1))
        #expect(!WorkspaceRules.isGitConfiguration(path("a/config"), belowRepository: 2))
    }

    @Test func reportsAreBounded() {
        var report = WorkspaceScanReport()
        for number in 0..<1000 { report.add(.init(.fifo, "f\(number)")) }
        #expect(report.findings.count == WorkspaceScanReport.mostFindings && report.counts[.fifo] == 1000 && report.isComplete)
        report.add(.init(.unseen, "x"))
        #expect(!report.isComplete && WorkspaceScanReport(json: report.json) == report)
        var changes = ChangesReport()
        changes.add(.init(.modified, "a", bytes: 3, detail: "mode"))
        changes.add(.init(.failed, "b"))
        #expect(!changes.isComplete && ChangesReport(json: changes.json) == changes)
    }
}
