import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

extension Supervisor {
    private static let idempotent: Set<String> = ["read", "glob", "grep"]
    /// Results up to this many bytes travel in the message; larger ones as a descriptor.
    private static let inlineBytes = 256 << 10

    /// Runs a file tool in a process of its own, which is killed when it takes too long: nothing that a path leads to (a FIFO, a device,
    /// a file without end) can hold this process up.
    func startTool(_ id: Int, _ request: ToolRequest) {
        let now = monotonicMicroseconds()
        guard tools.count < 64 else {
            answer(id, ToolAnswer(text: "\(request.name): more than 64 file tools are running", isError: true), started: now)
            return
        }
        let deadline = now + configuration.limits.toolTimeoutMilliseconds * 1000
        var tool = ToolProcess(id: id, request: request, pid: 0, result: -1, started: now, deadline: deadline)
        launch(&tool)
    }

    private func launch(_ tool: inout ToolProcess) {
        let result = psb_memory_file("result")
        guard result >= 0 else {
            answer(tool.id, ToolAnswer(text: "\(tool.request.name): \(SystemError.reason(-result))", isError: true), started: tool.started)
            return
        }
        let pid = psb_fork()
        if pid == 0 { runTool(tool.request, result: result) }
        guard pid > 0 else {
            close(result)
            let text = "\(tool.request.name): no process could be started (\(SystemError.reason(-pid))); end some with bash"
            answer(tool.id, ToolAnswer(text: text, isError: true), started: tool.started)
            return
        }
        tool.pid = pid
        tool.result = result
        tools.append(tool)
        processStarted()
    }

    /// In the child: does the work, leaves the answer in `result`, ends.
    private func runTool(_ request: ToolRequest, result: Int32) -> Never {
        close(control.descriptor)
        close(children)
        shell?.closeDescriptors()
        measurement?.closeDescriptors()
        for other in tools { close(other.result) }
        psb_unblock_signals()
        guard psb_set_limit(Int32(PSB_LIMIT_OPEN_FILES), UInt64(configuration.limits.openFiles)) >= 0 else { _exit(74) }
        let tool = FileTool(
            roots: roots, store: store, threshold: configuration.offloadThreshold, call: request.call, environment: environment)
        let answer = tool.run(request)
        _exit(Posix.write(result, answer.json.encoded) ? 0 : 74)
    }

    /// A tool process has ended.
    func toolEnded(_ tool: ToolProcess, _ status: Int32) {
        let name = tool.request.name
        if tool.timedOut {
            close(tool.result)
            let seconds = configuration.limits.toolTimeoutMilliseconds
            let text = "\(name): timed out after \(seconds % 1000 == 0 ? "\(seconds / 1000)" : "\(Double(seconds) / 1000)")s"
            answer(tool.id, ToolAnswer(text: text, isError: true), started: tool.started, timedOut: true)
        } else if tool.cancelled {
            close(tool.result)
            answer(tool.id, ToolAnswer(text: "\(name): cancelled", isError: true), started: tool.started, cancelled: true)
        } else if status == 0 {
            deliver(tool)
        } else {
            close(tool.result)
            let text = "\(name): the tool's process \(ExitCode(status).words) before it could answer"
            answer(tool.id, ToolAnswer(text: text, isError: true), started: tool.started)
        }
    }

    private func deliver(_ tool: ToolProcess) {
        let size = Posix.status(tool.result).map { Int($0.st_size) } ?? 0
        if size > Self.inlineBytes {
            control.send(
                [
                    "type": "result", "id": JSON(tool.id), "outcome_bytes": JSON(size), "microseconds": JSON(monotonicMicroseconds() - tool.started),
                    "exit_code": .null, "timed_out": false, "cancelled": false,
                ], descriptors: [tool.result])
            return
        }
        var bytes = [UInt8](repeating: 0, count: size)
        lseek(tool.result, 0, SEEK_SET)
        let count = bytes.withUnsafeMutableBytes { Posix.read(tool.result, into: $0) }
        close(tool.result)
        guard count == size, let outcome = try? JSON(parsing: bytes) else {
            let text = "\(tool.request.name): the tool's process left no answer"
            answer(tool.id, ToolAnswer(text: text, isError: true), started: tool.started)
            return
        }
        control.send([
            "type": "result", "id": JSON(tool.id), "outcome": outcome, "microseconds": JSON(monotonicMicroseconds() - tool.started),
            "exit_code": .null, "timed_out": false, "cancelled": false,
        ])
    }

    /// A tool process was killed together with the shell.
    func killedBeside(_ tool: ToolProcess) {
        close(tool.result)
        var again = tool
        if Self.idempotent.contains(tool.request.name), tool.attempts == 1, !tool.cancelled, !tool.timedOut {
            again.attempts += 1
            launch(&again)
            return
        }
        let text = "\(tool.request.name): ended together with the session's shell; whether the file was changed is not known, read it"
        answer(tool.id, ToolAnswer(text: text, isError: true), started: tool.started, cancelled: tool.cancelled)
    }

    // MARK: Commands with descriptors of the caller's

    func execute(_ id: Int, _ body: JSON, _ descriptors: [Int32]) {
        defer { for descriptor in descriptors { close(descriptor) } }
        let arguments = (body["arguments"]?.array ?? []).compactMap(\.string)
        guard let program = arguments.first, descriptors.count == 3, !arguments.contains(where: { $0.utf8.contains(0) }) else {
            control.send(["type": "exit", "id": JSON(id), "error": "execute takes a command and three descriptors"])
            return
        }
        guard let path = Program.find(program, environment: environment, directory: workspace) else {
            control.send(["type": "exit", "id": JSON(id), "error": .string("\(program): command not found"), "code": 127])
            return
        }
        do throws(SystemFailure) {
            let pid = try ProcessStart(
                path: path, arguments: arguments, environment: environment, directory: workspace, descriptors: descriptors,
                limits: configuration.limits
            ).start()
            executions.append(ExecuteCall(id: id, pid: pid, started: monotonicMicroseconds()))
            processStarted()
        } catch {
            control.send(["type": "exit", "id": JSON(id), "error": .string("\(program): \(SystemError.reason(error.code))"), "code": 126])
        }
    }

    func executionEnded(_ execution: ExecuteCall, _ status: Int32) {
        let signal = status & 0x7F
        control.send([
            "type": "exit", "id": JSON(execution.id), "status": signal == 0 ? JSON(Int((status >> 8) & 0xFF)) : .null,
            "signal": signal == 0 ? .null : JSON(Int(signal)), "microseconds": JSON(monotonicMicroseconds() - execution.started),
        ])
    }
}
