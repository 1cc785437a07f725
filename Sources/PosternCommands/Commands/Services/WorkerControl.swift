import ArgumentParser
import PosternJSON
import PosternWorker

/// What `worker freeze`, `thaw` and `status` share: they speak to a worker on this machine through its state folder.
struct WorkerControl: ParsableArguments {
    @Option(.workdir) var workdir: String?
    @Option(.stateDirectory) var stateDirectory: String?
    @OptionGroup var file: ConfigFileOption

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    /// The worker's state folder, as `WorkerSettings` has it.
    func folder() throws -> String {
        let environment = ProcessEnvironment.current
        let flags = WorkerControlFlags(given: [(.workdir, workdir), (.stateDirectory, stateDirectory)]).flags
        let configuration = try Configuration(.worker, flags: flags, environment: environment, file: file.file(.worker, environment: environment))
        return try configuration.text(.stateDirectory).map(TextFile.absolute) ?? TextFile.absolute(configuration.required(.workdir)) + "/.postern"
    }

    /// Asks the worker and prints its answer.
    func ask(_ request: LocalControlRequest) async throws {
        let folder = try folder()
        let reply: LocalControlReply
        do {
            reply = try await LocalControlClient(stateFolder: folder).ask(request)
        } catch {
            throw CommandError(.unavailable, error.description)
        }
        show(reply, request)
        if let error = reply.error { throw CommandError(.failure, error) }
        if !reply.isDone { throw CommandStatus.checkFailed.code }
    }

    private func show(_ reply: LocalControlReply, _ request: LocalControlRequest) {
        let terminal = Terminal()
        if json { return terminal.print(reply.json.indented) }
        switch request {
        case .questions: return show(reply.questions, terminal)
        case .answer: return
        case .status, .freeze, .thaw, .egress: break
        }
        var table = Table(["SESSION", "AGENT", "STATE", "NOTE"])
        for session in reply.sessions {
            let state = session.wasKilled ? "killed" : session.isFrozen ? "frozen" : session.isElsewhere ? "elsewhere" : "running"
            table.add([session.session, session.agent ?? "", state, session.problem ?? ""])
        }
        if reply.sessions.isEmpty { terminal.print("No session is served now.") } else { for line in table.lines { terminal.print(line) } }
        if case .freeze = request {
            let count = reply.processes
            terminal.print("Processes that stand still: \(count.stopped), that were killed: \(count.killed), that are left: \(count.survivors)")
        }
        let orders = reply.frozen.targets.map(\.description).sorted()
        if !orders.isEmpty { terminal.print("Frozen until thawed, what is taken up later too: \(orders.joined(separator: ", "))") }
    }
}

extension WorkerControl {
    private func show(_ questions: [ApprovalQuestion], _ terminal: Terminal) {
        if questions.isEmpty { return terminal.print("Nothing waits for an answer.") }
        for question in questions {
            let about = [("session", question.sessionID), ("agent", question.agentID), ("call", question.callID)]
            let words = about.compactMap { name, id in id.map { "\(name) \($0)" } }.joined(separator: ", ")
            terminal.print(Terminal.visible("\(question.id)  \(words)"))
            terminal.print("    \(Terminal.visible(question.summary))")
            terminal.print("    \(Terminal.visible(question.reason))\(question.rule.map { " (\(Terminal.visible($0)))" } ?? "")")
        }
        terminal.print("Answer with: postern worker approve ID, or postern worker deny ID")
    }
}

private struct WorkerControlFlags: SettingFlags {
    let given: [(ConfigurationKey, String?)]
}

/// The words of a target: `session ID`, `agent ID` or `all`.
struct FreezeTargetArguments: ParsableArguments {
    @Argument(help: ArgumentHelp("What is meant: session ID, agent ID, or all.", valueName: "target"))
    var words: [String] = []

    func target() throws -> FreezeTarget {
        guard let target = FreezeTarget(words: words) else {
            throw ValidationError("what is meant? Write: session ID, agent ID, or all")
        }
        return target
    }

    func validate() throws { _ = try target() }
}
