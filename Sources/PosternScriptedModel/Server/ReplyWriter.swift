import HTTPTypes
import Hummingbird
import NIOCore

/// Sends a plan as the body of a response.
struct ReplyWriter {
    /// Thrown to make the server close the connection without the end of the body.
    struct Dropped: Error {}

    private static let flushSize = 64 * 1024
    /// A plan that waits longer, in milliseconds, watches whether its client is still there. The server closes the connection of a
    /// watched request in the end, so that short waits do without.
    private static let watchedWait = 1_000

    /// Whether the connection ends with this response.
    var closesConnection: Bool { plan.wait >= Self.watchedWait }

    let plan: ScriptedPlan
    let stream: any ReplyStream
    let requestID: String
    /// With its body read already.
    let request: Request

    /// The body: one buffer where nothing in the plan needs time, which saves the chunks.
    func body() -> ResponseBody {
        var isPlain = plan.ending != .drop
        for step in plan.steps {
            switch step {
            case .sleep: isPlain = false
            case .block(let block): if block.tokens > 4096 { isPlain = false }
            }
        }
        guard isPlain else {
            guard !closesConnection else {
                return ResponseBody { writer in
                    try await request.body.consumeWithCancellationOnInboundClose { _ in try await write(to: &writer) }
                    try await writer.finish(nil)
                }
            }
            return ResponseBody { writer in
                try await write(to: &writer)
                try await writer.finish(nil)
            }
        }
        var output: [UInt8] = []
        stream.start(plan, into: &output)
        for (index, block) in plan.blocks.enumerated() { stream.block(block, index: index, into: &output) }
        finish(into: &output)
        return ResponseBody(byteBuffer: ByteBuffer(bytes: output))
    }

    private func write(to writer: inout any ResponseBodyWriter) async throws {
        var output: [UInt8] = []
        stream.start(plan, into: &output)
        var index = 0
        for step in plan.steps {
            switch step {
            case .block(let block):
                stream.block(block, index: index, into: &output)
                index += 1
                if output.count >= Self.flushSize { try await flush(&output, to: &writer) }
            case .sleep(let milliseconds):
                try await flush(&output, to: &writer)
                try await Task.sleep(for: .milliseconds(milliseconds))
            }
        }
        if plan.ending == .drop {
            try await flush(&output, to: &writer)
            throw Dropped()
        }
        finish(into: &output)
        try await flush(&output, to: &writer)
    }

    private func finish(into output: inout [UInt8]) {
        switch plan.ending {
        case .stop(let reason): stream.end(plan, stopReason: reason, into: &output)
        case .errorMidStream(let type):
            stream.error(type: type, message: "The script asks for an error in mid-stream.", requestID: requestID, into: &output)
        case .drop: break
        }
    }

    private func flush(_ output: inout [UInt8], to writer: inout any ResponseBodyWriter) async throws {
        guard !output.isEmpty else { return }
        try await writer.write(ByteBuffer(bytes: output))
        output.removeAll(keepingCapacity: true)
    }
}
