import PosternJSON
import PosternSandboxWire

extension RunningSandbox {
    /// Stops every process of the sandbox, detached ones too, and returns when the last one stands still. Calls that run are not answered
    /// until `thaw`, and their time goes on. Of a sandbox that has ended nothing runs, which is success.
    @discardableResult
    package func freeze() async throws(SandboxError) -> Int {
        guard let id = startedID else { throw SandboxError(.refused, "the sandbox has not started yet") }
        return try await spawner.setFrozen(id, true)
    }

    package func processCount() async -> Int? {
        guard let id = startedID else { return 0 }
        return try? await spawner.processCount(id)
    }

    /// Lets them run again.
    package func thaw() async throws(SandboxError) {
        guard let id = startedID else { throw SandboxError(.refused, "the sandbox has not started yet") }
        try await spawner.setFrozen(id, false)
    }

    /// A sandbox that was lost for want of memory says so.
    func explained(_ error: SandboxError) -> SandboxError {
        guard error.code == .lost, let bytes = limits.memoryBytes, let counters, counters.news().memoryKills > 0 else { return error }
        return SandboxError(
            .lost, "the sandbox was out of its \(ByteText.of(bytes)) of memory and has ended; the next call finds a fresh one: work on less at a time"
        )
    }

    /// The text blocks of a call, with a line about each limit that it met.
    /// - Parameter full: places whose file systems have become full.
    func noticed(_ content: [JSON], isError: Bool, full: [String], limits: SandboxLimits, counters: LimitCounters) -> [JSON] {
        let last = content.lastIndex { $0["type"] == "text" }
        let text = last.flatMap { content[$0]["text"]?.string } ?? ""
        let lines = LimitNotice.lines(
            counters.news(), limits, countsMemory: counters.countsMemory, countsProcesses: counters.countsProcesses, failed: isError, full: full,
            text: text)
        guard !lines.isEmpty else { return content }
        var content = content
        let notice = lines.joined(separator: "\n")
        if let last {
            content[last] = ["type": "text", "text": .string(text + "\n" + notice)]
        } else {
            content.append(["type": "text", "text": .string(notice)])
        }
        return content
    }
}
