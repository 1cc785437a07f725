import PosternJSON

/// One line of the audit log: RFC 8785 canonical JSON. `v` is the form's version; a hash chain adds a member `prev` and changes
/// nothing else. Times are RFC 3339 texts; they come in, so that records can be made without a clock.
package struct AuditRecord: Sendable, Equatable {
    package static let version = 1

    /// What is about to be done, on the disk before it is done; or what came of it.
    package enum Kind: Sendable, Equatable {
        case intent(input: Digest)
        case outcome(Outcome)
    }

    package struct Digest: Sendable, Equatable {
        /// Lower-case hex of `AuditKey.digest`.
        package var digest: String
        /// Of the canonical JSON.
        package var bytes: Int

        package init(digest: String, bytes: Int) {
            self.digest = digest
            self.bytes = bytes
        }
    }

    package struct Outcome: Sendable, Equatable {
        package var output: Digest
        package var isError: Bool
        /// What the tool produced, before offloading; `nil` where no tool ran.
        package var producedBytes: Int?
        package var offloadedTo: String?
        package var exitCode: Int32?
        package var milliseconds: Int?
        package var timedOut: Bool
        /// Why the worker, and not the tool, wrote the result; `nil` for a tool's own.
        package var reason: String?

        package init(
            output: Digest, isError: Bool, producedBytes: Int?, offloadedTo: String?, exitCode: Int32?, milliseconds: Int?, timedOut: Bool,
            reason: String?
        ) {
            self.output = output
            self.isError = isError
            self.producedBytes = producedBytes
            self.offloadedTo = offloadedTo
            self.exitCode = exitCode
            self.milliseconds = milliseconds
            self.timedOut = timedOut
            self.reason = reason
        }
    }

    package var time: String
    package var sessionID: String
    package var workID: String
    package var callID: String
    package var tool: String
    package var kind: Kind

    package init(time: String, sessionID: String, workID: String, callID: String, tool: String, kind: Kind) {
        self.time = time
        self.sessionID = sessionID
        self.workID = workID
        self.callID = callID
        self.tool = tool
        self.kind = kind
    }

    package var json: JSON {
        var object: JSONObject = [
            "v": JSON(Self.version), "time": .string(time), "session": .string(sessionID), "work": .string(workID), "call": .string(callID),
            "tool": .string(tool),
        ]
        switch kind {
        case .intent(let input):
            object["kind"] = "intent"
            object["input"] = input.json
        case .outcome(let outcome):
            object["kind"] = "outcome"
            object["output"] = outcome.output.json
            object["is_error"] = .bool(outcome.isError)
            object["produced_bytes"] = outcome.producedBytes.map { JSON($0) }
            object["offloaded"] = .bool(outcome.offloadedTo != nil)
            object["offloaded_to"] = outcome.offloadedTo.map(JSON.string)
            object["exit_code"] = outcome.exitCode.map { .int(Int64($0)) }
            object["duration_ms"] = outcome.milliseconds.map { JSON($0) }
            object["timed_out"] = .bool(outcome.timedOut)
            object["reason"] = outcome.reason.map(JSON.string)
        }
        return .object(object)
    }

    /// The line, without its newline.
    package var line: [UInt8] { json.canonical }
}

extension AuditRecord.Digest {
    fileprivate var json: JSON { ["hmac_sha256": .string(digest), "bytes": JSON(bytes)] }
}
