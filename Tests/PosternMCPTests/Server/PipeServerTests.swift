import PosternJSON
import Synchronization
import Testing

@testable import PosternMCP

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite("A server over pipes", .timeLimit(.minutes(1)))
struct PipeServerTests {
    /// The caller's ends of two pipes, used as the product uses its own.
    final class Caller: Sendable {
        let pipes: PipeDescriptors
        private let lines = Mutex<(reader: LineReader, ready: [[UInt8]])>((LineReader(limit: 1 << 24), []))

        init(input: CInt, output: CInt) throws { pipes = try PipeDescriptors(input: input, output: output) }

        func send(_ text: String) async throws { #expect(try await pipes.send(Array(text.utf8) + [10])) }

        /// The next message; nil at the end.
        func hear() async throws -> JSON? {
            while true {
                if let line = lines.withLock({ $0.ready.isEmpty ? nil : $0.ready.removeFirst() }) { return try JSON(parsing: line) }
                guard let bytes = try await pipes.next() else { return nil }
                try lines.withLock { $0.ready += try $0.reader.read(bytes) }
            }
        }

        func begin() async throws {
            try await send(#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#)
            #expect(try await hear()?["result"]?["serverInfo"]?["name"] == "s")
            try await send(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        }
    }

    /// Does what the name of the tool says.
    final class Handler: PipeServerHandler {
        let started = Pending<Void>()
        let cancelled = Pending<Bool>()
        let held = Pending<Void>()
        let heard = Pending<MCPClient.Notice>()
        let told = Mutex(0)

        func describe(for revision: Revision) async throws(RPCError) -> ServerProfile { StdioServerMachineTests.profile }

        func answer(_ call: ServerCall, tell: @escaping MCPClient.Notice) async throws(RPCError) -> JSONObject {
            switch call.params["name"]?.string {
            case "hold":
                started.resolve(())
                await held.value(onCancel: ())
                cancelled.resolve(Task.isCancelled)
                return ["held": true]
            case "chatter":
                for step in 1...2000 {
                    await tell("notifications/progress", ["progress": JSON(step), "message": .string(String(repeating: "x", count: 1000))])
                    told.withLock { $0 = step }
                }
                return [:]
            default: throw RPCError(code: 7, message: "no such tool")
            }
        }

        func listen(
            to kinds: [ListKind], begun: @escaping @Sendable ([ListKind]) async -> Void, _ heard: @escaping MCPClient.Notice
        ) async throws(RPCError) {
            await begun(kinds)
            self.heard.resolve(heard)
            await Pending<Void>().value(onCancel: ())
        }
    }

    private static func call(_ id: Int, _ tool: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"\#(tool)","_meta":{"progressToken":"t"}}}"#
    }

    /// Runs a server with small bounds; gives how it ended.
    @discardableResult
    private func serving(
        _ handler: Handler, drain: Duration = .seconds(10), _ body: @escaping @Sendable (Caller, _ hangUp: @Sendable () -> Void) async throws -> Void
    ) async throws -> MCPError? {
        var (toServer, toCaller): ([CInt], [CInt]) = ([-1, -1], [-1, -1])
        try #require(pipe(&toServer) == 0 && pipe(&toCaller) == 0)
        #if canImport(Glibc)
        // Whatever a test sends fits in, so that it can hang up behind it. F_SETPIPE_SZ (fcntl(2)) is not in the headers without _GNU_SOURCE.
        try #require(fcntl(toServer[1], 1031, 1 << 20) >= 1 << 20)
        #endif
        let ends = (toServer, toCaller)
        var settings = PipeServer.Settings()
        settings.messageLimit = 4096
        settings.mostWaiting = 8192
        settings.drain = drain
        let server = PipeServer(handler, settings: settings) { _ in }
        let caller = try Caller(input: toCaller[0], output: toServer[1])
        let input = Mutex<CInt?>(toServer[1])
        let hangUp = { @Sendable in
            input.withLock { end in
                if let end { close(end) }
                end = nil
            }
        }
        let error = try await withThrowingTaskGroup(of: MCPError?.self) { group in
            group.addTask {
                defer { close(ends.1[1]) }
                do throws(MCPError) {
                    try await server.run(input: ends.0[0], output: ends.1[1])
                    return nil
                } catch {
                    return error
                }
            }
            try await body(caller, hangUp)
            hangUp()
            return try await group.next() ?? nil
        }
        await caller.pipes.end()
        close(toServer[0])
        close(toCaller[0])
        return error
    }

    @Test("a cancellation stops the task of its request, and others go on")
    func cancellation() async throws {
        let handler = Handler()
        let ending = try await serving(handler) { caller, _ in
            try await caller.begin()
            try await caller.send(Self.call(1, "hold"))
            await handler.started.value(onCancel: ())
            try await caller.send(Self.call(2, "none"))
            #expect(try await caller.hear()?["error"]?["code"] == 7)
            try await caller.send(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#)
            #expect(await handler.cancelled.value(onCancel: false))
            try await caller.send(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            // The id may still be the cancelled request's: then it is refused, and never answered by that one's result.
            #expect(try await caller.hear()?["result"]?["held"] == nil)
        }
        #expect(ending == nil)
    }

    @Test("at the end of the input calls that run end by themselves, and are cancelled when their time is over")
    func draining() async throws {
        let patient = Handler()
        try await serving(patient) { caller, hangUp in
            try await caller.begin()
            try await caller.send(Self.call(1, "hold"))
            await patient.started.value(onCancel: ())
            hangUp()
            patient.held.resolve(())
            #expect(try await caller.hear()?["result"]?["held"] == true)
            #expect(try await caller.hear() == nil)
        }
        let late = Handler()
        try await serving(late, drain: .milliseconds(20)) { caller, hangUp in
            try await caller.begin()
            try await caller.send(Self.call(1, "hold"))
            await late.started.value(onCancel: ())
            hangUp()
            #expect(await late.cancelled.value(onCancel: false))
        }
    }

    @Test("notices wait for a caller that reads slowly, and come in order")
    func backPressure() async throws {
        let handler = Handler()
        try await serving(handler) { caller, _ in
            try await caller.begin()
            try await caller.send(Self.call(1, "chatter"))
            // The pipe and the caller's buffer hold 64 KiB each, the queue and what is being written 8 KiB each: 150 notices.
            for step in 1...2000 {
                #expect(try await caller.hear()?["params"]?["progress"]?.int == step)
                #expect(handler.told.withLock { $0 } < step + 200)
            }
            #expect(try await caller.hear()?["result"] == [:])
        }
    }

    @Test("changes of lists are told once the caller is ready")
    func changes() async throws {
        let handler = Handler()
        try await serving(handler) { caller, _ in
            try await caller.begin()
            let heard = await handler.heard.value(onCancel: { _, _ in })
            await heard("notifications/prompts/list_changed", [:])
            await heard("notifications/else", [:])
            await heard("notifications/message", ["level": "info"])
            #expect(try await caller.hear()?["method"] == "notifications/prompts/list_changed")
            #expect(try await caller.hear()?["params"]?["level"] == "info")
        }
    }

    @Test("a line that is too long is told and ends the connection")
    func longLine() async throws {
        let ending = try await serving(Handler()) { caller, _ in
            try await caller.begin()
            try await caller.send(String(repeating: "x", count: 5000))
            #expect(try await caller.hear()?["error"]?["code"]?.int == RPCError.invalidRequest)
            #expect(try await caller.hear() == nil)
        }
        #expect(ending == .tooLarge("a message of the client", limit: 4096))
    }

    @Test("who reads nothing keeps the server no longer after the end of the input, whatever still waits to be read or written")
    func unread() async throws {
        // More than the pipe and the queue hold.
        let chatter = try await serving(Handler(), drain: .milliseconds(20)) { caller, hangUp in
            try await caller.begin()
            try await caller.send(Self.call(1, "chatter"))
            hangUp()
        }
        #expect(chatter == nil)
        // Their answers are more than that too, so that some of them are not read before the end.
        let pings = (1000..<4000).map { #"{"jsonrpc":"2.0","id":\#($0),"method":"ping"}"# }.joined(separator: "\n")
        let blocked = try await serving(Handler(), drain: .milliseconds(20)) { caller, hangUp in
            try await caller.begin()
            try await caller.send(pings)
            hangUp()
        }
        #expect(blocked == nil)
        let long = try await serving(Handler(), drain: .milliseconds(20)) { caller, hangUp in
            try await caller.begin()
            try await caller.send(pings + "\n" + String(repeating: "x", count: 5000))
            hangUp()
        }
        #expect(long == .tooLarge("a message of the client", limit: 4096), "that nobody reads is not all that is wrong")
    }

    @Test("an input that is shared and does not block is waited for again where another has read it")
    func sharedInput() async throws {
        var ends: [CInt] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let (reading, writing) = (ends[0], ends[1])
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
        let readers = [try PipeDescriptors(input: reading, output: writing), try PipeDescriptors(input: reading, output: writing)]
        let taken = Box(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in readers {
                group.addTask {
                    while let bytes = try await reader.next() { taken.change { $0 += bytes.count } }
                }
            }
            // Each byte wakes both.
            for count in 1...500 {
                #expect(write(writing, "x", 1) == 1)
                while taken.value < count { await Task.yield() }
            }
            close(writing)
            try await group.waitForAll()
        }
        for reader in readers { await reader.end() }
        close(reading)
    }

    @Test("where the task is cancelled it ends at once, whatever is read, written or carried out")
    func cancelledTask() async throws {
        let handler = Handler()
        let ending = try await serving(handler) { caller, _ in
            try await caller.begin()
            try await caller.send(Self.call(1, "hold"))
            try await caller.send(Self.call(2, "chatter"))
            await handler.started.value(onCancel: ())
            withUnsafeCurrentTask { $0?.cancel() }
        }
        #expect(ending == .cancelled)
        #expect(await handler.cancelled.value(onCancel: false))
    }
}
