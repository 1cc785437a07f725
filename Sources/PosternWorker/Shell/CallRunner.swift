import Logging
import ManagedAgentsClient
import PosternAudit
import PosternGate
import PosternJSON
import PosternSandbox

/// Runs one call from intent to accepted result.
struct CallRunner: Sendable {
    static let unknownText = "The worker was stopped while this call ran; its outcome is unknown and it was not repeated."
    private static let drainedReason = "worker shutting down"
    static let drainedText = "The call was cancelled because the worker is shutting down; it may have taken effect in part."

    let item: WorkItem
    let client: ManagedAgentsClient
    let sandbox: SandboxHolder
    let tools: ToolPolicy
    let files: FileRecords
    let egress: SessionEgress?
    let journal: SessionJournal
    let gate: ResultGate
    let lease: Lease
    let toolTimeout: Duration
    let pacing: Pacing
    let metrics: WorkerMetrics
    let logger: Logger

    /// The result of a call, ready to be sent; `nil` when it was dropped. Throws when nothing can be recorded: then nothing may go on.
    func execute(_ call: ToolCall, _ control: RunningCall) async throws -> PassedResult? {
        let gateCall = gateCall(call)
        let passed: PassedResult
        switch journal.known.disposition(of: call.id) {
        case .send(let event): return try await gate.readmit(event: event, of: gateCall)
        case .unknown:
            metrics.called(call.name, .unknown)
            passed = try await gate.pass(.failure(Self.unknownText, reason: "outcome unknown after a restart"), of: gateCall)
        case .run:
            if let refusal = try await refusal(of: call, control) {
                if control.isAbandoned || control.isDropped { return nil }
                metrics.called(call.name, .refused)
                return try await gate.pass(.failure("\(call.name): not run: \(refusal)", reason: "denied by policy"), of: gateCall)
            }
            if control.isAbandoned || control.isDropped { return nil }
            // Both records are on the disk before anything happens. The audit's alone would not do: it is closed by its outcome, which says nothing of
            // whether the result was taken.
            async let audited: Void = gate.intend(gateCall, input: call.input)
            async let journalled: Void = journal.append(.intent(callID: call.id, tool: call.name))
            _ = try await (audited, journalled)
            let began = pacing.now()
            let result = try await run(call, control)
            metrics.called(call.name, Self.outcome(result, control), duration: pacing.now() - began)
            if control.isAbandoned { return nil }
            if control.isDropped {
                try await journal.append(.settled(callID: call.id))
                return nil
            }
            passed = try await gate.pass(result, of: gateCall)
        }
        return passed
    }

    /// Why the call does not run; waiting for an answer ends with the call.
    private func refusal(of call: ToolCall, _ control: RunningCall) async throws -> String? {
        let tools = tools
        let asking = Task { try await tools.refusal(of: call) }
        control.begin(asking)
        do {
            return try await withTaskCancellationHandler {
                try await asking.value
            } onCancel: {
                control.abandon()
            }
        } catch is CancellationError {
            return "it was cancelled before it was approved"
        }
    }

    /// Sends a result that is new, and keeps it in the journal meanwhile. Throws when it cannot be kept.
    func postKeeping(_ result: PassedResult) async throws -> Bool {
        async let kept: Void = journal.append(.outcome(callID: result.call.callID, event: result.event))
        let isAccepted = await send(result)
        try await kept
        if isAccepted { await settle(result) }
        return isAccepted
    }

    /// Sends a result that the journal holds.
    func post(_ result: PassedResult) async -> Bool {
        guard await send(result) else { return false }
        await settle(result)
        return true
    }

    /// Should this line be lost, the result is sent once more and the service takes it for the same.
    private func settle(_ result: PassedResult) async {
        do { try await journal.append(.settled(callID: result.call.callID)) } catch { logger.error("journal: \(error)") }
    }

    /// The result of a call that has one already.
    func kept(_ call: ToolCall) async throws -> PassedResult {
        if case .send(let event) = journal.known.disposition(of: call.id) { return try await gate.readmit(event: event, of: gateCall(call)) }
        return try await gate.pass(.failure(Self.unknownText, reason: "the result was lost"), of: gateCall(call))
    }

    /// Sends until it is accepted, refused for good, or the window closes. Never once the lease is lost.
    private func send(_ result: PassedResult) async -> Bool {
        var window = SendingWindow(opensAt: pacing.now(), length: lease.sendingWindow)
        while !lease.isLost, !Task.isCancelled {
            do throws(ClientError) {
                _ = try await client.request(.post, "/v1/sessions/\(item.sessionID)/events", bytes: result.body)
                metrics.posted(bytes: result.event.count)
                return true
            } catch {
                if error.isCancellation || Task.isCancelled { return false }
                logger.warning("result of \(result.call.callID) not accepted: \(error)")
                guard !error.isFatal,
                    let wait = window.failed(now: pacing.now(), random: pacing.random(), retryAfter: error.retryAfter)
                else { return false }
                do { try await pacing.sleep(wait) } catch { return false }
            }
        }
        return false
    }

    private static func outcome(_ result: OutgoingResult, _ control: RunningCall) -> WorkerMetrics.CallOutcome {
        if control.isAbandoned || control.isDropped || result.reason == drainedReason { return .cancelled }
        if result.timedOut { return .timedOut }
        return result.isError ? .failed : .succeeded
    }

    private func gateCall(_ call: ToolCall) -> GateCall {
        GateCall(
            sessionID: item.sessionID, workID: item.id, callID: call.id, tool: call.name, kind: call.kind == .tool ? .tool : .customTool)
    }

    private func run(_ call: ToolCall, _ control: RunningCall) async throws -> OutgoingResult {
        guard call.input.object != nil else {
            return .failure("\(call.name): the input must be a JSON object, not \(call.input.kind)", reason: "invalid input")
        }
        let (sandbox, toolTimeout, pacing) = (sandbox, toolTimeout, pacing)
        let began = pacing.now()
        let work = Task { () async throws -> ToolOutcome in
            try await withThrowingTaskGroup(of: ToolOutcome.self) { group in
                group.addTask { try await sandbox.call(ToolInvocation(id: call.id, name: call.name, input: call.input)) }
                group.addTask {
                    try await pacing.sleep(toolTimeout)
                    throw TimedOut()
                }
                defer { group.cancelAll() }
                guard let outcome = try await group.next() else { throw CancellationError() }
                return outcome
            }
        }
        control.begin(work)
        do {
            var outcome = try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                control.abandon()
            }
            try await files.record(call, outcome)
            for line in await egress?.takeNotices() ?? [] { outcome.content.append(ResultBlocks.text(line)) }
            return OutgoingResult(
                content: outcome.content, isError: outcome.isError, producedBytes: outcome.outputBytes, offloadedTo: outcome.offloadedTo,
                exitCode: outcome.exitCode, duration: outcome.duration, timedOut: outcome.timedOut)
        } catch is TimedOut {
            return .failure("tool '\(call.name)' timed out", reason: "time-out", timedOut: true, duration: pacing.now() - began)
        } catch let error as FileError {
            throw error
        } catch let error as SandboxError where error.code != .cancelled {
            return .failure("\(call.name): the sandbox failed: \(error.message)", reason: "sandbox", duration: pacing.now() - began)
        } catch {
            return .failure(Self.drainedText, reason: Self.drainedReason, duration: pacing.now() - began)
        }
    }

    private struct TimedOut: Error {}
}
