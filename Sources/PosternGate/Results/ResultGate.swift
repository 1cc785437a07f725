import PosternAudit
import PosternJSON
import Synchronization

/// The gate for results: every byte of a tool's output that leaves the perimeter passes `pass`, which decides its size, counts it and
/// writes the audit record. A call starts only after `intend` has put the intent on the disk.
package final class ResultGate: Sendable {
    package struct Limits: Sendable {
        /// Largest event, bytes; a larger one is replaced by an error that says so. The default holds a PDF of 20 MiB in base64.
        package var maximumEventBytes = 32 << 20
        /// Bytes that one session may send in all while this worker runs; `nil` for no bound.
        package var sessionBudget: Int?

        package init() {}
    }

    private let audit: AuditLog
    private let limits: Limits
    private let timestamp: @Sendable () -> String
    private let sent = Mutex<[String: Int]>([:])

    /// `timestamp` gives the present time as RFC 3339.
    package init(audit: AuditLog, limits: Limits = Limits(), timestamp: @escaping @Sendable () -> String) {
        self.audit = audit
        self.limits = limits
        self.timestamp = timestamp
    }

    /// Puts what is about to be done on the disk. If this throws, the call must not run.
    package func intend(_ call: GateCall, input: JSON) async throws(FileError) {
        try await audit.append(record(call, .intent(input: audit.digest(.input, of: input))), durable: true)
    }

    /// The one way out. Content is normalised, sized, counted and recorded. The outcome's record reaches the disk with the next intent
    /// at the latest.
    package func pass(_ result: OutgoingResult, of call: GateCall) async throws(FileError) -> PassedResult {
        var result = result
        var content = JSON.array(ResultBlocks.normalised(result.content))
        var event = Self.encode(call, content, result.isError)
        if let refusal = count(event.count, session: call.sessionID) {
            result.isError = true
            result.reason = refusal.reason
            content = [ResultBlocks.text(refusal.text)]
            event = Self.encode(call, content, true)
            add(event.count, session: call.sessionID)
        }
        let outcome = AuditRecord.Outcome(
            output: audit.digest(.output, of: content), isError: result.isError, producedBytes: result.producedBytes,
            offloadedTo: result.offloadedTo, exitCode: result.exitCode, milliseconds: result.duration.map { Int($0 / .milliseconds(1)) },
            timedOut: result.timedOut, reason: result.reason)
        try await audit.append(record(call, .outcome(outcome)), durable: false)
        return PassedResult(call: call, event: event)
    }

    /// A result that passed before the worker was stopped and was never posted, as its journal kept it. It is counted and recorded again.
    package func readmit(event: [UInt8], of call: GateCall) async throws(FileError) -> PassedResult {
        let json = (try? JSON(parsing: event)) ?? .null
        guard json["tool_use_id"]?.string ?? json["custom_tool_use_id"]?.string == call.callID, let content = json["content"] else {
            return try await pass(
                .failure("The result of this call was lost; its outcome is unknown and it was not repeated.", reason: "lost"), of: call)
        }
        add(event.count, session: call.sessionID)
        let outcome = AuditRecord.Outcome(
            output: audit.digest(.output, of: content), isError: json["is_error"]?.bool ?? false, producedBytes: nil, offloadedTo: nil,
            exitCode: nil, milliseconds: nil, timedOut: false, reason: "sent again from the journal")
        try await audit.append(record(call, .outcome(outcome)), durable: false)
        return PassedResult(call: call, event: event)
    }

    /// Bytes of events that passed for that session.
    package func bytesPassed(session id: String) -> Int { sent.withLock { $0[id] ?? 0 } }

    /// Drops the session's count and returns it.
    @discardableResult
    package func forget(session id: String) -> Int { sent.withLock { $0.removeValue(forKey: id) ?? 0 } }

    private func record(_ call: GateCall, _ kind: AuditRecord.Kind) -> AuditRecord {
        AuditRecord(time: timestamp(), sessionID: call.sessionID, workID: call.workID, callID: call.callID, tool: call.tool, kind: kind)
    }

    private func add(_ bytes: Int, session id: String) { sent.withLock { $0[id, default: 0] += bytes } }

    /// Counts the bytes, or says why they may not leave.
    private func count(_ bytes: Int, session id: String) -> (text: String, reason: String)? {
        if bytes > limits.maximumEventBytes {
            return (
                "The result of \(bytes) bytes is larger than the \(limits.maximumEventBytes) bytes that may leave in one result.", "result too large"
            )
        }
        return sent.withLock { sent in
            let total = sent[id, default: 0] + bytes
            if let budget = limits.sessionBudget, total > budget {
                return ("The session has used up the \(budget) bytes of results that may leave the perimeter.", "session budget")
            }
            sent[id] = total
            return nil
        }
    }

    private static func encode(_ call: GateCall, _ content: JSON, _ isError: Bool) -> [UInt8] {
        let event: JSON =
            switch call.kind {
            case .tool: ["type": "user.tool_result", "tool_use_id": .string(call.callID), "is_error": .bool(isError), "content": content]
            case .customTool:
                ["type": "user.custom_tool_result", "custom_tool_use_id": .string(call.callID), "is_error": .bool(isError), "content": content]
            }
        return event.encoded
    }
}
