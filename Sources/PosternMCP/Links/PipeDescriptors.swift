import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Reads and writes two descriptors that others own and may share, as a terminal's are: their mode is not changed, and they may be files too. What
/// blocks does so on two threads of its own, and `stop()` ends it.
final class PipeDescriptors: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Bytes of one go. A pipe that can be written at all takes `PIPE_BUF` bytes without blocking (pipe(7)); 512 is POSIX's least.
    private static let readSize = 64 << 10
    #if canImport(Glibc)
    private static let writeSize = 4096
    #else
    private static let writeSize = 512
    #endif

    private let input: CInt
    private let output: CInt
    private let pool = NIOThreadPool(numberOfThreads: 2)
    /// Whoever waits looks at the reading end too; closing the other one wakes them all, for good.
    private let woken: CInt
    private let waker: Mutex<CInt?>

    /// - Parameters: neither descriptor is closed here.
    init(input: CInt, output: CInt) throws(Failure) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure(description: "a pipe cannot be made: \(Self.reason)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (self.input, self.output, woken) = (input, output, ends[0])
        waker = Mutex(ends[1])
        pool.start()
    }

    /// Ends what waits, and all that comes after.
    func stop() {
        let end = waker.withLock { waker in
            defer { waker = nil }
            return waker
        }
        if let end { _ = close(end) }
    }

    /// To be called last, when nothing is read or written any more.
    func end() async {
        stop()
        try? await pool.shutdownGracefully()
        _ = close(woken)
    }

    /// The next bytes; nil at the end of the input, and once it was stopped.
    func next() async throws -> [UInt8]? {
        try await pool.runIfActive { [input, woken] in
            while true {
                guard try Self.wait(for: input, POLLIN, or: woken) else { return nil }
                var failure: CInt = 0
                let bytes = [UInt8](unsafeUninitializedCapacity: Self.readSize) { buffer, count in
                    let got = Self.retrying { read(input, buffer.baseAddress, Self.readSize) }
                    if got < 0 { failure = errno }
                    count = max(0, got)
                }
                // Somebody who shares it was faster.
                if failure == EAGAIN { continue }
                guard failure == 0 else { throw Failure(description: String(cString: strerror(failure))) }
                return bytes.isEmpty ? nil : bytes
            }
        }
    }

    /// Whether nobody writes to the input any more, which there may still be something to read of. Never true of a file.
    var isInputClosed: Bool {
        var one = pollfd(fd: input, events: Self.hungUp, revents: 0)
        return Self.retrying({ Int(poll(&one, 1, 0)) }) > 0 && one.revents & (Self.hungUp | Int16(POLLHUP)) != 0
    }

    /// That the other end of a socket writes no more: `POLLRDHUP` (poll(2)), which is not in the headers without `_GNU_SOURCE`.
    #if canImport(Glibc)
    private static let hungUp: Int16 = 0x2000
    #else
    private static let hungUp: Int16 = 0
    #endif

    /// Writes all of it; false where it was stopped before.
    func send(_ bytes: [UInt8]) async throws -> Bool {
        try await pool.runIfActive { [output, woken] in
            var rest = bytes[...]
            while !rest.isEmpty {
                guard try Self.wait(for: output, POLLOUT, or: woken) else { return false }
                let count = rest.prefix(Self.writeSize).withUnsafeBytes { part in
                    Self.retrying { write(output, part.baseAddress, part.count) }
                }
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno != EAGAIN {
                    throw Failure(description: Self.reason)
                }
            }
            return true
        }
    }

    /// Blocks until one of them is ready: whether it is not the one that stops.
    private static func wait(for descriptor: CInt, _ events: CInt, or woken: CInt) throws -> Bool {
        var both = [pollfd(fd: descriptor, events: Int16(events), revents: 0), pollfd(fd: woken, events: Int16(POLLIN), revents: 0)]
        guard retrying({ Int(poll(&both, 2, -1)) }) >= 0 else { throw Failure(description: reason) }
        return both[1].revents == 0
    }

    private static func retrying(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }

    private static var reason: String { String(cString: strerror(errno)) }
}
