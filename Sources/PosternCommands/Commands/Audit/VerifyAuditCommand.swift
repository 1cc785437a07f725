import ArgumentParser
import PosternAudit
import PosternJSON

/// `postern audit verify`
struct VerifyAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check that nothing in the log was changed, taken away or added.",
        discussion: """
            Checks every hash, every signature and the order of files, and names the first bad record. The exit status is 5 when there is one.
            Give the root key, and a mirror where there is one: without them, a log that was made anew as a whole looks good.

            Example: postern audit verify --log /var/lib/postern-worker --root-key-file audit-root.pub --mirror /mnt/witness
            """)

    @OptionGroup var log: AuditLogOptions

    @Option(name: .long, help: ArgumentHelp("The chain's root public key, as the worker showed it at its first start.", valueName: "hex"))
    var rootKey: String?

    @Option(name: .long, help: ArgumentHelp("File with the root public key on its first line.", valueName: "file"))
    var rootKeyFile: String?

    @Option(name: .long, help: ArgumentHelp("Mirrored checkpoints: the file, or the folder that holds it.", valueName: "path"))
    var mirror: String?

    @Flag(name: .long, help: "Older files may be missing: check from where the log begins.")
    var partial = false

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    func validate() throws {
        if rootKey != nil, rootKeyFile != nil { throw ValidationError("give one of --root-key and --root-key-file") }
        if partial, rootKey != nil || rootKeyFile != nil {
            throw ValidationError("--partial goes without a root key: the record that names it may be missing")
        }
    }

    func run() async throws {
        let key = try rootKey ?? rootKeyFile.map { try TextFile.readSecret($0) }
        if let key, !AuditVerifier.isRootKey(key) {
            throw CommandError(.usage, "the root key must be 64 lower-case hexadecimal digits")
        }
        let reader = try log.reader()
        // The mirror is read first: whatever it holds by then must be in the log.
        var checkpoints: CheckpointMirror?
        if let mirror {
            let writer = try reader.last(1) { _ in true }.first?.line.writer ?? ""
            checkpoints = try MirrorFile.read(TextFile.absolute(mirror), writer: writer)
        }
        // A file may have been closed since; the log is looked at again.
        let report = try log.reader().verify(.init(rootKey: key, mirror: checkpoints, allowsPartial: partial))
        let terminal = Terminal()
        if json { terminal.print(report.json.indented) } else { show(report, terminal) }
        if !report.isGood { throw CommandStatus.checkFailed.code }
    }

    private func show(_ report: AuditReport, _ terminal: Terminal) {
        if let finding = report.finding {
            terminal.print(terminal.styled("The log is not good. ", .red) + "\(finding)")
            terminal.print("What stands before it agrees; nothing can be said of what follows.")
            return
        }
        terminal.print(
            terminal.styled("The log is good: ", .green) + "\(report.records) records in \(report.files) files, \(report.checkpoints) checkpoints.")
        terminal.print("writer        \(report.writer ?? "")")
        terminal.print("last record   \(report.lastSeq), \(report.lastTime ?? "")")
        terminal.print("root key      " + (report.rootKey ?? "not read: older files are missing") + (report.isPinned ? ", as pinned" : ""))
        if let mirrored = report.mirrored { terminal.print("mirror        \(mirrored) checkpoints agree") }
        if report.tornTails > 0 { terminal.print("torn tails    \(report.tornTails), closed and recorded") }
        if report.unknown > 0 { terminal.print("unknown       \(report.unknown) intents whose outcome nobody knows") }
        if report.open > 0 { terminal.print("open          \(report.open) intents without an outcome: at work now, or the worker was killed") }
        if report.unsigned > 0 {
            terminal.print("not signed    the last \(report.unsigned) records: only the next checkpoint vouches for them")
        }
        if !report.isPinned, !partial {
            terminal.note("No root key was given: this says that the log agrees with itself, not that it is the worker's.")
        }
    }
}
