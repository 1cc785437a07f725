import PosternJSON

/// A call that a worker answers for.
package struct GateCall: Sendable, Equatable {
    package enum Kind: String, Sendable { case tool, customTool }

    package var sessionID: String
    package var workID: String
    /// The id of the `agent.*_tool_use` event.
    package var callID: String
    package var tool: String
    package var kind: Kind

    package init(sessionID: String, workID: String, callID: String, tool: String, kind: Kind = .tool) {
        self.sessionID = sessionID
        self.workID = workID
        self.callID = callID
        self.tool = tool
        self.kind = kind
    }
}

/// What came of a call, before the gate.
package struct OutgoingResult: Sendable {
    package var content: [JSON]
    package var isError: Bool
    /// Bytes that the tool produced, before offloading; `nil` where no tool ran.
    package var producedBytes: Int?
    package var offloadedTo: String?
    package var exitCode: Int32?
    package var duration: Duration?
    package var timedOut: Bool
    /// Why the worker wrote this result itself; `nil` for a tool's own.
    package var reason: String?

    package init(
        content: [JSON], isError: Bool, producedBytes: Int? = nil, offloadedTo: String? = nil, exitCode: Int32? = nil, duration: Duration? = nil,
        timedOut: Bool = false, reason: String? = nil
    ) {
        self.content = content
        self.isError = isError
        self.producedBytes = producedBytes
        self.offloadedTo = offloadedTo
        self.exitCode = exitCode
        self.duration = duration
        self.timedOut = timedOut
        self.reason = reason
    }

    /// A result that the worker writes itself. `reason` is a word for the audit, `text` is for the model.
    package static func failure(_ text: String, reason: String, timedOut: Bool = false, duration: Duration? = nil) -> OutgoingResult {
        OutgoingResult(content: [ResultBlocks.text(text)], isError: true, duration: duration, timedOut: timedOut, reason: reason)
    }
}

/// A result that has passed the gate: the only thing that a worker may post. Only `ResultGate` makes one.
package struct PassedResult: Sendable {
    package let call: GateCall
    /// The event, encoded.
    package let event: [UInt8]

    init(call: GateCall, event: [UInt8]) {
        self.call = call
        self.event = event
    }

    /// The body of `POST …/events`: one event a request.
    package var body: [UInt8] { Array(#"{"events":["#.utf8) + event + Array("]}".utf8) }
}
