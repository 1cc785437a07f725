/// What in a workspace is dangerous outside of it. Pure: names, kinds and small texts in, findings out.
package enum WorkspaceRules {
    package enum EntryKind: Sendable {
        case file, folder, link, device, socket, fifo
    }

    /// Findings of one entry, which lies in real folders (no link on the way). Names are compared without regard to case: some who read the
    /// workspace do so too.
    ///
    /// - Parameter belowRepository: how many folders down from a `bareRepository` the entry is; 0 where it is in none.
    package static func findings(
        _ path: [[UInt8]], _ kind: EntryKind, mode: UInt32, target: [UInt8]?, belowRepository: Int = 0
    ) -> [WorkspaceScanReport.Finding] {
        let text = NameText.of(path)
        var found: [WorkspaceScanReport.Finding] = []
        if let name = path.last, NameText.isUnsafe(name) { found.append(.init(.unsafeName, text)) }
        switch kind {
        case .device: found.append(.init(.device, text))
        case .socket: found.append(.init(.socket, text))
        case .fifo: found.append(.init(.fifo, text))
        case .link:
            if let target, leadsOut(target, from: path.count - 1) { found.append(.init(.linkOut, text, NameText.of(target))) }
        case .file, .folder:
            if mode & 0o6000 != 0 { found.append(.init(.setID, text, "mode 0\(String(mode & 0o7777, radix: 8))")) }
        }
        let names = path.map { String(decoding: $0, as: UTF8.self).lowercased() }
        if let hook = gitHook(names, kind, mode, belowRepository) { found.append(.init(.gitHook, text, hook)) }
        if names.last == ".git", kind != .folder { found.append(.init(.gitConfiguration, text, "git's folder is elsewhere")) }
        if isAgentConfiguration(names) { found.append(.init(.agentConfiguration, text)) }
        return found
    }

    /// `depth` folders lead to the link. A `..` behind a name is taken for a way out: the name may be a link itself.
    static func leadsOut(_ target: [UInt8], from depth: Int) -> Bool {
        guard target.first != 0x2F else { return true }
        var (up, hasName) = (0, false)
        for part in target.split(separator: 0x2F) where part != [0x2E] {
            if part == [0x2E, 0x2E] {
                if hasName { return true }
                up += 1
            } else {
                hasName = true
            }
        }
        return up > depth
    }

    private static func gitHook(_ names: [String], _ kind: EntryKind, _ mode: UInt32, _ belowRepository: Int) -> String? {
        guard kind == .file || kind == .link, let last = names.last, names.count >= 2, names[names.count - 2] == "hooks" else { return nil }
        guard belowRepository == 2 || names.dropLast(2).contains(where: isGitFolder), !last.hasSuffix(".sample") else { return nil }
        return mode & 0o111 != 0 || kind == .link ? "executable" : "not executable"
    }

    private static func isGitFolder(_ name: String) -> Bool { name == ".git" || name.hasSuffix(".git") }

    /// A finding where a folder is a repository that git takes for one by what is in it, not by its name: it looks for one in each folder
    /// from the current one upwards, and then does what its configuration says.
    package static func bareRepository(_ path: [[UInt8]], entries: [[UInt8]]) -> WorkspaceScanReport.Finding? {
        guard !path.contains(where: { isGitFolder(String(decoding: $0, as: UTF8.self).lowercased()) }) else { return nil }
        let names = Set(entries.map { String(decoding: $0, as: UTF8.self).lowercased() })
        guard names.contains("head"), names.isSuperset(of: ["objects", "refs"]) || names.contains("commondir") else { return nil }
        return .init(.gitConfiguration, path.isEmpty ? "." : NameText.of(path), "a repository whose folder is not named .git")
    }

    // MARK: Configuration of git

    /// A file that is to be read for settings of git. `belowRepository` as for `findings`.
    package static func isGitConfiguration(_ path: [[UInt8]], belowRepository: Int = 0) -> Bool {
        let names = path.map { String(decoding: $0, as: UTF8.self).lowercased() }
        guard let last = names.last else { return false }
        if last == ".gitmodules" || last == ".gitconfig" || last == ".lfsconfig" { return true }
        return (last == "config" || last == "config.worktree") && (belowRepository == 1 || names.dropLast().contains(where: isGitFolder))
    }

    /// Variables of these names run a program or lead elsewhere, in whatever subsection.
    private static let gitVariables: [String: Set<String>] = [
        "core": [
            "fsmonitor", "hookspath", "sshcommand", "pager", "editor", "askpass", "alternaterefscommand", "gitproxy", "worktree", "attributesfile",
        ],
        "filter": ["clean", "smudge", "process"], "diff": ["textconv", "command", "external"], "difftool": ["cmd", "path"],
        "merge": ["driver"], "mergetool": ["cmd", "path"], "credential": ["helper"], "gpg": ["program"], "include": ["path"], "includeif": ["path"],
        "protocol": ["allow"], "uploadpack": ["packobjectshook"], "remote": ["uploadpack", "receivepack", "vcs", "proxy"], "sequence": ["editor"],
        "interactive": ["difffilter"], "browser": ["cmd", "path"], "man": ["cmd", "path"], "web": ["browser"], "url": ["insteadof", "pushinsteadof"],
        "lfs": ["customtransfer", "standalonetransferagent"], "init": ["templatedir"], "sendemail": ["smtpserver", "tocmd", "cccmd"],
        "http": ["proxy", "sslverify", "cookiefile"], "transfer": ["credentialsinurl"], "instaweb": ["httpd"], "maintenance": ["repo"],
    ]

    /// Settings in the text of a git configuration that run something or lead elsewhere, as `section.variable`.
    package static func gitSettings(_ text: String) -> [String] {
        var section = ""
        var found: [String] = []
        for line in text.split(whereSeparator: \.isNewline) {
            var line = line.drop { $0 == " " || $0 == "\t" }
            if line.first == "[" {
                let name = line.dropFirst().prefix { $0 != "]" && $0 != " " && $0 != "\t" && $0 != "\"" && $0 != "." }
                section = name.lowercased()
                guard let end = line.lastIndex(of: "]") else { continue }
                // A variable may follow on the same line.
                line = line[line.index(after: end)...].drop { $0 == " " || $0 == "\t" }
            }
            guard let first = line.first, first.isLetter else { continue }
            let name = line.prefix { $0.isLetter || $0.isNumber || $0 == "-" }.lowercased()
            let value = line.drop { $0 != "=" }.dropFirst().drop { $0 == " " || $0 == "\t" || $0 == "\"" }
            let runs = gitVariables[section]?.contains(name) ?? false
            // An alias, or the update of a submodule, that begins with '!' is a command.
            if runs || section == "pager" || ((section == "alias" || section == "submodule") && value.first == "!") {
                found.append("\(section).\(name)")
            }
        }
        return found
    }

    // MARK: Configuration of agents, editors, shells

    private static let agentNames: Set<String> = [
        ".claude", ".claude.json", "claude.md", "claude.local.md", ".mcp.json", ".vscode", ".idea", ".cursor", ".cursorrules", ".cursorignore",
        ".codex", ".agents", "agents.md", ".gemini", "gemini.md", ".aider.conf.yml", ".continue", ".windsurf", ".windsurfrules", ".zed", ".roo",
        ".roomodes", ".kiro", ".devcontainer", ".envrc", ".husky", ".pre-commit-config.yaml", ".bashrc", ".bash_profile", ".profile", ".zshrc",
        ".zprofile", ".zshenv", ".ripgreprc", ".npmrc", ".yarnrc.yml", ".pnpmfile.cjs", ".exrc", ".nvim.lua", ".dir-locals.el", ".lldbinit",
        ".gdbinit",
        ".pypirc", "sitecustomize.py", "usercustomize.py", ".tool-versions", "mise.toml",
    ]

    /// Said of the topmost name only.
    private static func isAgentConfiguration(_ names: [String]) -> Bool {
        guard let last = names.last, !names.dropLast().contains(where: agentNames.contains) else { return false }
        if agentNames.contains(last) || last.hasSuffix(".code-workspace") { return true }
        return names.count >= 2 && names[names.count - 2] == ".github" && (last == "workflows" || last == "copilot-instructions.md")
    }
}
