import Glibc
import PosternJSON
import PosternSandboxWire

extension Supervisor {
    func startBash(_ id: Int, _ request: ToolRequest) {
        let now = monotonicMicroseconds()
        do throws(ToolFailure) {
            let input = try ToolInput(tool: "bash", request.input, allowed: ["command", "restart", "timeout_ms"])
            let restart = try input.optionalBool("restart") ?? false
            let timeout = try input.optionalInt("timeout_ms", in: 0...3_600_000) ?? 0
            let command = try input.optionalString("command")
            if restart {
                restartShell(id, now)
                return
            }
            guard let command else { throw ToolFailure("bash: command is required") }
            guard !command.utf8.contains(0) else { throw ToolFailure("bash: command must not contain a NUL character") }
            guard waitingBash.count < 64 else { throw ToolFailure("bash: more than 64 commands are waiting for the shell") }
            let allowed = min(timeout == 0 ? 120_000 : timeout, configuration.limits.callTimeoutMilliseconds)
            waitingBash.append(BashCall(id: id, name: request.call, command: command, timeoutMilliseconds: allowed))
            runNextBash()
        } catch {
            answer(id, ToolAnswer(text: error.text, isError: true), started: now)
        }
    }

    private func restartShell(_ id: Int, _ now: Int) {
        if bash != nil {
            loseShell(because: "the session asked for a restart", killing: true)
            finishBash(text: { "bash: ended by a restart of the session" + $0 }, isError: true, exitCode: nil)
        } else {
            loseShell(because: "restart", killing: true)
        }
        lossOfShell = nil
        startShell()
        answer(id, ToolAnswer(text: "bash session restarted"), started: now)
        runNextBash()
    }

    /// Starts a shell if there is none. Failure is found out by the next call.
    func startShell() {
        guard shell == nil else { return }
        shell = try? Shell(environment: environment, directory: workspace, limits: configuration.limits)
    }

    func runNextBash() {
        guard bash == nil, !waitingBash.isEmpty else { return }
        var call = waitingBash.removeFirst()
        call.started = monotonicMicroseconds()
        if shell == nil {
            do throws(SystemFailure) {
                shell = try Shell(environment: environment, directory: workspace, limits: configuration.limits)
            } catch {
                answer(call.id, ToolAnswer(text: "bash: the shell could not be started: \(error.text)", isError: true), started: call.started)
                runNextBash()
                return
            }
        }
        if let reason = lossOfShell {
            call.notice = "[new shell: \(reason); working directory, variables and jobs of the old one are gone]"
            lossOfShell = nil
        }
        call.collector = OutputCollector(
            threshold: configuration.offloadThreshold, store: store, fileName: call.name, isTerminalOutput: true)
        if let diskNotice {
            call.notice = (call.notice.map { $0 + "\n" } ?? "") + diskNotice
            self.diskNotice = nil
        }
        bash = call
        disk.callStarted(at: call.started)
        shell?.run(call.command)
    }

    /// Takes what the shell has printed and, if it has, its status.
    func receiveFromShell() {
        guard let shell, bash != nil else {
            noticeStrayReport()
            return
        }
        // The status is looked at first: whatever the command printed is then in the pipe already.
        let report = self.shell?.receive() ?? .nothing
        drain(shell.output)
        switch report {
        case .nothing: break
        case .finished(let status):
            finishBash(text: { $0 }, isError: status != 0, exitCode: status)
            runNextBash()
        case .closed: break  // It has exited, or `exec` put another program in its place: its end or the time-out ends the call.
        case .broken: kill(shell.pid, SIGKILL)
        }
    }

    /// Between calls nothing is to come: a shell that is gone is replaced at the next call.
    private func noticeStrayReport() {
        guard let pid = shell?.pid else { return }
        if let report = shell?.receive(), report != .nothing { kill(pid, SIGKILL) }
    }

    /// Reads what is in the pipe now, and no more: a background job may write for ever.
    private func drain(_ output: Int32) {
        var available: Int32 = 0
        guard ioctl(output, UInt(FIONREAD), &available) == 0, available > 0 else { return }
        var left = Int(available)
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            while left > 0 {
                let count = read(output, buffer.baseAddress, min(left, buffer.count))
                guard count > 0 else { return }
                bash?.collector?.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
                left -= count
            }
        }
    }

    /// The shell is no more. `killing`: neither is anything it or another call has started.
    func loseShell(because reason: String, killing: Bool) {
        lossOfShell = reason
        if let shell { drain(shell.output) }
        if killing { killEverythingBesideTools() }
        shell?.closeDescriptors()
        shell = nil
    }

    /// File tools that run beside the shell die with it; those that only read are run again, since nobody asked for their end.
    private func killEverythingBesideTools() {
        let beside = tools
        tools = []
        // The shell's own end is expected here and is no news.
        let old = shell
        shell = nil
        killEverything()
        shell = old
        for tool in beside { killedBeside(tool) }
    }

    func shellEnded(_ status: Int32) {
        let exit = ExitCode(status)
        loseShell(because: "the last shell \(exit.words)", killing: false)
        if bash != nil { finishBash(text: { $0 }, isError: true, exitCode: exit.code) }
        runNextBash()
    }

    /// Answers the running call; the next one is for the caller to start. `text` makes the result's text of the output, which comes with a newline before it if the text is
    /// to stand behind something.
    func finishBash(
        text: (String) -> String, isError: Bool, exitCode: Int32?, timedOut: Bool = false, cancelled: Bool = false
    ) {
        guard var call = bash else { return }
        bash = nil
        disk.callEnded(at: monotonicMicroseconds(), started: call.started)
        let output = call.collector?.finish() ?? CollectedOutput(text: "", bytes: 0, lines: 0)
        let isPlain = text("").isEmpty
        var shown = isPlain || output.text.isEmpty ? text(output.text) : text("\n" + output.text)
        if shown.isEmpty { shown = "(no output)" }
        if let notice = call.notice { shown = notice + "\n" + shown }
        answer(
            call.id, ToolAnswer(text: shown, isError: isError, bytes: output.bytes, lines: output.lines, offloadedTo: output.offloadedTo),
            started: call.started, exitCode: exitCode, timedOut: timedOut, cancelled: cancelled)
    }
}

/// The end of a process.
struct ExitCode {
    /// As a shell shows it: the status, or 128 and the signal.
    let code: Int32
    let words: String

    init(_ status: Int32) {
        let signal = status & 0x7F
        code = signal == 0 ? (status >> 8) & 0xFF : 128 + signal
        words = signal == 0 ? "exited with status \(code)" : "was ended by signal \(signal)"
    }
}
