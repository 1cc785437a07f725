import Foundation
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization

@testable import PosternEgress

/// Sockets on loopback, ports chosen by the kernel.
enum ForwardSockets {
    /// A listening TCP descriptor, as the sandbox hands them out.
    static func listen(on address: UInt32 = 0x7F00_0001) throws -> Int32 {
        try bound(SOCK_STREAM, address)
    }

    /// A TCP descriptor that does not listen: while it is open its port refuses, and no other test is given it.
    static func refusing() throws -> Int32 { try bound(SOCK_STREAM, listens: false) }

    static func datagrams() throws -> Int32 { try bound(SOCK_DGRAM) }

    private static func bound(_ kind: __socket_type, _ host: UInt32 = 0x7F00_0001, listens: Bool = true) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = host.bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0, kind == SOCK_DGRAM || !listens || Foundation.listen(descriptor, 128) == 0 else {
            throw NSError(domain: "listen", code: Int(errno))
        }
        return descriptor
    }

    static func port(of descriptor: Int32) throws -> Int {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { throw NSError(domain: "getsockname", code: Int(errno)) }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

/// Dials one port of loopback whatever the target's name, and keeps what it dialled.
final class ForwardTestDialer: Sendable {
    private let port: Int
    private let channels = Mutex<[any Channel]>([])

    init(port: Int) { self.port = port }

    var dialled: [any Channel] { channels.withLock { $0 } }

    var dial: ForwardDial {
        { _ in
            let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .channelOption(.autoRead, value: false)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .connect(host: "127.0.0.1", port: self.port).get()
            self.channels.withLock { $0.append(channel) }
            return channel
        }
    }
}

/// Keeps what a forward records; a test may wait for a record, hold it back, or refuse it.
final class ForwardTestAudit: ForwardAudit {
    enum Entry: Sendable, Hashable {
        case intent(ForwardIntent, connection: Int)
        case ended(ForwardOutcome, connection: Int)
    }
    private let entries = Mutex<[Entry]>([])
    private let decide: @Sendable (ForwardIntent) async throws -> Void
    private let (stream, feed) = AsyncStream<Entry>.makeStream()

    init(_ decide: @escaping @Sendable (ForwardIntent) async throws -> Void = { _ in }) { self.decide = decide }

    var all: [Entry] { entries.withLock { $0 } }
    var statements: [PostgresStatement] {
        all.compactMap { if case .intent(.statement(let statement), _) = $0 { statement } else { nil } }
    }
    /// What happens from now on; for one reader.
    var news: AsyncStream<Entry> { stream }

    /// Waits for the end of a connection.
    func nextEnd() async -> ForwardOutcome? {
        for await entry in stream { if case .ended(let outcome, _) = entry { return outcome } }
        return nil
    }

    func intend(_ intent: ForwardIntent, forward: Forward, connection: Int) async throws {
        entries.withLock { $0.append(.intent(intent, connection: connection)) }
        feed.yield(.intent(intent, connection: connection))
        try await decide(intent)
    }

    func spend(_ bytes: Int, forward: Forward, connection: Int) async throws {}

    func ended(_ outcome: ForwardOutcome, forward: Forward, connection: Int) async {
        entries.withLock { $0.append(.ended(outcome, connection: connection)) }
        feed.yield(.ended(outcome, connection: connection))
    }
}

/// A number that tasks add to.
final class ForwardTestCounter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add(_ number: Int) { count.withLock { $0 += number } }
}
