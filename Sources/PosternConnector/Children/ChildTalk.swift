import NIOCore
import NIOPosix
import PosternMCP
import PosternTunnelLink
import Synchronization

/// The connector's side of one running child: a line is a message, both ways, each read no faster than the other side takes it.
final class ChildTalk: Sendable {
    private let session: ChildSession
    private let input = ChildSession.Input(limit: 1 << 20)
    private let secrets: [String]
    private let startTime: TimeAmount
    private let observe: @Sendable (ChildEvent) -> Void
    /// Why it is over, for callers whose calls run; the first one counts.
    let cause = Mutex<ServerRefusal?>(nil)

    private let errorsEnded = Awaited<Void>()

    /// Bytes of one message of the server.
    static let longestMessage = 16 << 20

    init(session: ChildSession, secrets: [String], startTime: TimeAmount, observe: @escaping @Sendable (ChildEvent) -> Void) {
        (self.session, self.secrets, self.startTime, self.observe) = (session, secrets, startTime, observe)
    }

    /// Returns when the child is to be ended, or has ended its side.
    func run(_ pipes: ChildPipes, _ start: ChildSession.Start) async {
        let messages: ByteStream
        let errors: ByteStream
        do {
            messages = try await Self.attach { try await $0.takingOwnershipOfDescriptors(input: pipes.output, output: pipes.input).get() }
            errors = try await Self.attach { try await $0.takingOwnershipOfDescriptor(input: pipes.errors).get() }
        } catch {
            return ended(502, "its pipes cannot be used: \(error)")
        }
        observe(.started)
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { [self] in
                await read(messages)
                // What it said last says most.
                await errorsEnd()
                return true
            }
            group.addTask { [self] in
                await write(messages)
                return true
            }
            group.addTask { [self] in
                await tell(errors)
                return false
            }
            group.addTask { [self] in await !makeReady(start) }
            group.addTask { [self] in
                _ = await session.over.get()
                return true
            }
            for await isOver in group where isOver { break }
            group.cancelAll()
        }
        input.finish()
        messages.close()
        errors.close()
    }

    private func errorsEnd() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in _ = await errorsEnded.get() }
            group.addTask { try? await Task.sleep(for: .seconds(1)) }
            await group.next()
            group.cancelAll()
        }
    }

    private func ended(_ status: Int, _ reason: String) { cause.withLock { $0 = $0 ?? ServerRefusal(status, "the server of this route: \(reason)") } }

    private static func attach(_ connect: (NIOPipeBootstrap) async throws -> any Channel) async throws -> ByteStream {
        let bootstrap = NIOPipeBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
        return try await ByteStream.attach(to: try await connect(bootstrap))
    }

    /// False where the child is of no use.
    private func makeReady(_ start: ChildSession.Start) async -> Bool {
        await withTaskGroup(of: ServerRefusal?.self) { group in
            group.addTask { [self] in
                do throws(ServerRefusal) {
                    try await session.started(input, start)
                    return nil
                } catch {
                    return error
                }
            }
            group.addTask { [self] in
                do { try await Task.sleep(for: .nanoseconds(startTime.nanoseconds)) } catch { return nil }
                return ServerRefusal(504, "the server of this route was not ready within \(startTime.nanoseconds / 1_000_000_000) s")
            }
            let refusal = await group.next() ?? nil
            group.cancelAll()
            guard let refusal, !Task.isCancelled else { return true }
            cause.withLock { $0 = $0 ?? refusal }
            if refusal.status == 404 { session.end(refusal) }
            return false
        }
    }

    private func read(_ stream: ByteStream) async {
        var lines = LineReader(limit: Self.longestMessage)
        do {
            while let bytes = try await stream.read() {
                for line in try lines.read(Array(bytes.readableBytesView)) { await take(line) }
            }
            ended(502, "it ended while the call ran; whether the call was carried out is not known")
        } catch let error as LineReader.LineTooLong {
            ended(502, "it wrote a message of more than \(error.limit) bytes")
        } catch {
            ended(502, "its output cannot be read: \(error)")
        }
    }

    private func take(_ line: [UInt8]) async {
        let messages: [RawMessage]
        do throws(JSONRPCMessage.Malformed) {
            messages = try RawMessage.parse(line, allowsBatch: session.hasBatches).messages
        } catch {
            return observe(.strayed("a line on standard output is no message: \(error.reason)"))
        }
        for message in messages where !(await session.received(message, input)) {
            observe(.strayed(message.isAnswer ? "an answer that nobody waits for" : "\(message.method.prefix(64)) that belongs to nobody"))
        }
    }

    private func write(_ stream: ByteStream) async {
        while case .element(let line) = await input.next() {
            do {
                // A message holds no line feed but between its parts.
                var bytes = ByteBuffer(bytes: line.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 })
                bytes.writeInteger(UInt8(ascii: "\n"))
                try await stream.write(bytes)
            } catch {
                return ended(502, "it takes no more messages")
            }
        }
    }

    private func tell(_ stream: ByteStream) async {
        var lines = ErrorLines(secrets: secrets)
        func now() -> Int { Int(NIODeadline.now().uptimeNanoseconds / 1_000_000_000) }
        while let bytes = try? await stream.read() {
            for line in lines.feed(bytes.readableBytesView, at: now()) { observe(.said(line)) }
        }
        if let line = lines.end(at: now()) { observe(.said(line)) }
        errorsEnded.set(())
    }
}
