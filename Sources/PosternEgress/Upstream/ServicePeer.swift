import NIOCore
import PosternPolicy

/// Holds a client to the addresses at which a named service may be (`ServiceAddresses`). It looks at the address that a connection has
/// really reached, before a request or a credential is sent on it: nothing is resolved for that, so what is checked is what was dialled.
package struct ServicePeer: Sendable {
    private let addresses: ServiceAddresses
    private let host: String

    /// - Parameter host: of the service, or of the proxy towards it, which then resolves the service's name; without brackets.
    package init(host: String) {
        self.host = host
        addresses = ServiceAddresses(host: host)
    }

    /// To be called in the event loop of a connection that stands. Fails, and closes the connection, where it leads where it may not.
    package func check(_ channel: any Channel) -> EventLoopFuture<Void> {
        guard let refusal = refusal(of: channel.remoteAddress) else { return channel.eventLoop.makeSucceededVoidFuture() }
        // After the caller has heard of the refusal: async-http-client takes what closes before for a connection that it lost.
        channel.eventLoop.execute { channel.close(promise: nil) }
        return channel.eventLoop.makeFailedFuture(refusal)
    }

    private func refusal(of peer: SocketAddress?) -> (any Error)? {
        guard let text = peer?.ipAddress, let address = IPAddress(text) else { return UnknownName(name: host, reason: "it has no address") }
        return addresses.refusal(of: address)
    }
}
