/// A sandbox of macOS as plain values, and its profile as `sandbox-exec -p` reads it: the same rules as on Linux as far as Seatbelt can say
/// them. A text generator: nothing here looks at the file system.
///
/// Of several rules that match, Seatbelt takes the last one. So the order is: nothing is allowed; what every program needs; what the policy
/// lets be read; what it lets be written; then what is hidden or protected, which nothing after it opens again.
package struct SeatbeltProfile: Sendable, Equatable {
    /// The session's folder: read and write.
    package var workspace: String
    /// `TMPDIR` of the session: read and write.
    package var temporaryFolder: String
    /// Folders or files that may be read beyond the system's.
    package var readable: [String]
    /// Folders or files that may be written, too.
    package var writable: [String]
    /// Neither read nor written, wherever they are: absolute paths. A policy's `hidden`, and what no policy can open.
    package var hidden: [String]
    /// Patterns below the workspace that are hidden, such as `**/.env`.
    package var hiddenPatterns: [String]
    /// Patterns below the workspace that are read but never written, such as `.git/hooks/**`.
    package var protectedPatterns: [String]
    /// The egress proxy's port on localhost, and those of forwards. No other connection leaves.
    package var ports: [UInt16]
    /// Stands in each violation that the system logs: letters, digits and hyphens, so that one session's can be told from another's.
    package var tag: String

    package init(
        workspace: String, temporaryFolder: String, readable: [String] = [], writable: [String] = [], hidden: [String] = [],
        hiddenPatterns: [String] = [], protectedPatterns: [String] = [], ports: [UInt16], tag: String
    ) {
        self.workspace = workspace
        self.temporaryFolder = temporaryFolder
        self.readable = readable
        self.writable = writable
        self.hidden = hidden
        self.hiddenPatterns = hiddenPatterns
        self.protectedPatterns = protectedPatterns
        self.ports = ports
        self.tag = tag
    }

    /// The profile's text.
    /// - Throws: if a path or pattern is not one that a rule can name, or the tag holds anything else than letters, digits and hyphens.
    package func text() throws(SeatbeltError) -> String {
        guard !tag.isEmpty, tag.utf8.allSatisfy({ Self.tagBytes.contains($0) }) else {
            throw SeatbeltError(field: "tag", value: tag, rule: "must be letters, digits and hyphens")
        }
        let workspace = try SeatbeltPath(workspace, "workspace")
        let temporary = try SeatbeltPath(temporaryFolder, "temporary_folder")
        let readable = try paths(self.readable, "files.read")
        let writable = [workspace, temporary] + (try paths(self.writable, "files.write"))
        let hidden = try paths(self.hidden, "files.hidden")
        for place in [workspace, temporary] {
            for path in hidden where path == place || place.ancestors.contains(path) {
                throw SeatbeltError(
                    field: "files.hidden", value: path.text, rule: "holds the session's own folder '\(place.text)'; hide what is beside it")
            }
        }
        var profile = SeatbeltText()
        profile.line("(version 1)")
        profile.line("(deny default (with message \(SeatbeltText.quoted(tag))))")
        profile.section("Processes: only those of the same sandbox can be seen and signalled.")
        profile.lines(SeatbeltSystem.processes)
        profile.section("What the system's own libraries ask for at every start.")
        profile.rule("allow mach-lookup", SeatbeltSystem.services.map { "(global-name \(SeatbeltText.quoted($0)))" })
        profile.rule(
            "allow sysctl-read",
            SeatbeltSystem.parameters.map { "(sysctl-name \(SeatbeltText.quoted($0)))" }
                + SeatbeltSystem.parameterPrefixes.map { "(sysctl-name-prefix \(SeatbeltText.quoted($0)))" })
        profile.section("Files: the system's, then the policy's.")
        profile.rule("allow file-read*", SeatbeltSystem.readable.map { "(subpath \(SeatbeltText.quoted($0)))" } + SeatbeltSystem.readableFiles)
        profile.rule("allow file-read* file-write-data file-ioctl", SeatbeltSystem.devices)
        profile.rule("allow file-read-metadata", Self.ancestors(of: readable + writable).map { "(literal \($0.quoted))" })
        profile.rule("allow file-read*", (readable + writable).map { "(subpath \($0.quoted))" })
        profile.rule("allow file-write*", writable.map { "(subpath \($0.quoted))" })
        profile.section("Denied again, whatever stands above. No device and no set-id file is made.")
        profile.line("(deny file-write-mknod file-write-setugid)")
        // A folder that holds something protected cannot be moved away with it, nor the workspace itself.
        let fixed = [workspace, temporary] + hidden
        profile.rule("deny file-write-unlink", (fixed + Self.ancestors(of: fixed)).map { "(literal \($0.quoted))" })
        let protected = try patterns(protectedPatterns, below: workspace, "files.protected")
        profile.rule("deny file-write*", protected.map(\.filter))
        profile.rule("deny file-write-unlink", protected.flatMap(\.folders))
        let unseen = try patterns(hiddenPatterns, below: workspace, "files.hidden")
        profile.rule("deny file-read* file-write*", hidden.map { "(subpath \($0.quoted))" } + unseen.map(\.filter))
        profile.rule("deny file-write-unlink", unseen.flatMap(\.folders))
        profile.section("Network: sockets in the session's own folders, and the proxy.")
        let sockets = [workspace, temporary].map { "(subpath \($0.quoted))" }
        profile.rule("allow network-bind", sockets.map { "(local unix-socket \($0))" })
        profile.rule(
            "allow network-outbound",
            sockets.map { "(remote unix-socket \($0))" } + Set(ports).sorted().map { "(remote ip \"localhost:\($0)\")" })
        return profile.text
    }

    private static let tagBytes = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-".utf8)

    private func paths(_ texts: [String], _ field: String) throws(SeatbeltError) -> [SeatbeltPath] {
        var result: [SeatbeltPath] = []
        for text in texts { result.append(try SeatbeltPath(text, field)) }
        return result
    }

    private func patterns(_ texts: [String], below workspace: SeatbeltPath, _ field: String) throws(SeatbeltError) -> [SeatbeltPattern] {
        var result: [SeatbeltPattern] = []
        for text in texts { result.append(try SeatbeltPattern(text, below: workspace, field)) }
        return result
    }

    /// The folders above, each once, the outermost first.
    private static func ancestors(of paths: [SeatbeltPath]) -> [SeatbeltPath] {
        var seen = Set<SeatbeltPath>()
        return paths.flatMap(\.ancestors).filter { seen.insert($0).inserted }
    }
}

/// Why a profile cannot be written.
package struct SeatbeltError: Error, Sendable, Equatable, CustomStringConvertible {
    package var field: String
    package var value: String
    package var rule: String

    package var description: String { "\(field): '\(value)' \(rule)" }
}
