import NIOCore
import PosternHTTP
import PosternPolicy

/// A connection to a server, kept for the next request to the same destination.
struct UpstreamConnection: Sendable {
    let destination: Authority
    let encrypted: Bool
    let address: IPAddress?
    /// Between two answers: at the beginning of the next one.
    var reader: MessageReader
    /// When the last answer had come over it, since when the server may have closed it; `nil` for a connection that is new.
    var answered: NIODeadline?

    var isUsed: Bool { answered != nil }

    /// Whether it is unlikely that the server has closed it: it has been idle for less than `time`. For requests that cannot be repeated where
    /// it has.
    func isFresh(within time: TimeAmount, at now: NIODeadline = .now()) -> Bool { answered.map { now - $0 < time } ?? true }

    var stream: ByteStream { reader.stream }

    static func open(
        to destination: Authority, encrypted: Bool, by route: Dialer.Route, _ context: SessionContext
    ) async throws -> UpstreamConnection {
        let (channel, address) = try await context.dialer.connect(to: destination, by: route)
        do {
            let stream = try await ByteStream.attach(to: channel)
            if encrypted {
                let tls = context.upstreamTLS
                try await stream.startTLS { try tls.handler(for: destination.host) }
            }
            return UpstreamConnection(destination: destination, encrypted: encrypted, address: address, reader: MessageReader(stream))
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    /// Whether a request to `destination` may go over it: the address must still be one that is dialled.
    func fits(_ request: ForwardedRequest, _ route: Dialer.Route) -> Bool {
        guard destination == request.destination, encrypted == request.encrypted, stream.channel.isActive else { return false }
        switch (route, address) {
        case (.direct(let addresses), let address?): return addresses.contains(address)
        case (.parent, nil): return true
        default: return false
        }
    }
}
