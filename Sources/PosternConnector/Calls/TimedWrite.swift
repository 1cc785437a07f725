import NIOCore
import PosternTunnelLink

extension ByteStream {
    /// Returns once the connection has taken the bytes. Where it does not within `time`, it is broken off, and `TimedOut` is thrown.
    func write(_ bytes: ByteBuffer, within time: TimeAmount) async throws {
        let end = NIODeadline.now() + time
        let deadline = channel.eventLoop.scheduleTask(deadline: end) { abort() }
        defer { deadline.cancel() }
        do {
            try await write(bytes)
        } catch {
            throw NIODeadline.now() >= end ? TimedOut() : error
        }
    }
}
