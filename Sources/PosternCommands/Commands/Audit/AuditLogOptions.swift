import ArgumentParser
import PosternAudit

/// Where the log is that a command reads.
struct AuditLogOptions: ParsableArguments {
    @Option(.workdir) var workdir: String?
    @Option(.stateDirectory) var stateDirectory: String?

    @Option(name: .long, help: "The log's present file, or its folder, instead of the one in the worker's state folder.")
    var log: String?

    /// The path of the log or of its folder.
    func path() throws -> String {
        if let log { return TextFile.absolute(log) }
        return try stateFolder()
    }

    func stateFolder() throws -> String {
        var flags: [String: String] = [:]
        flags[ConfigurationKey.workdir.name] = workdir
        flags[ConfigurationKey.stateDirectory.name] = stateDirectory
        let configuration = try Configuration(.worker, flags: flags, environment: ProcessEnvironment.current)
        if let folder = configuration.text(.stateDirectory) { return TextFile.absolute(folder) }
        return TextFile.absolute(try configuration.required(.workdir)) + "/.postern"
    }

    func reader() throws -> AuditLogReader {
        do { return try AuditLogReader(try path()) } catch let error as FileError { throw CommandError(.notFound, error.description) }
    }
}

/// Which records a command shows.
struct AuditFilter: ParsableArguments {
    @Option(name: .long, help: "Only records of this session.")
    var session: String?

    @Option(name: .long, help: "Only records of this kind, such as egress_refused. May be repeated.")
    var kind: [String] = []

    func validate() throws {
        for name in kind where AuditRecord.Kind.Name(rawValue: name) == nil {
            let known = AuditRecord.Kind.Name.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--kind \(name): there is no such kind; the kinds are \(known)")
        }
    }

    func takes(_ line: AuditLine) -> Bool { (session == nil || line.session == session) && (kind.isEmpty || kind.contains(line.kind)) }
}

extension CommandError {
    /// What a bad log means for whoever runs the command.
    init(_ finding: AuditFinding) { self.init(.checkFailed, "the audit log is not good: \(finding)") }
}
