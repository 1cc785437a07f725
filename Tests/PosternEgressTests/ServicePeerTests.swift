import NIOCore
import NIOEmbedded
import PosternEgress
import PosternPolicy
import Testing

/// A connection is judged by where it has got to, and closed where it may not be.
@Suite struct ServicePeerTests {
    private func check(_ host: String, reached address: String?) async throws -> (error: (any Error)?, isOpen: Bool) {
        let channel = NIOAsyncTestingChannel()
        if let address { try await channel.connect(to: SocketAddress(ipAddress: address, port: 443)) }
        var error: (any Error)?
        do { try await channel.testingEventLoop.flatSubmit { ServicePeer(host: host).check(channel) }.get() } catch let thrown { error = thrown }
        await channel.testingEventLoop.run()
        let isOpen = channel.isActive
        _ = try? await channel.finish(acceptAlreadyClosed: true)
        return (error, isOpen)
    }

    @Test func whatMayBeReachedStaysOpen() async throws {
        for (host, address) in [("api.example", "93.184.216.34"), ("api.example", "10.0.0.1"), ("localhost", "::1"), ("169.254.1.1", "169.254.1.1")] {
            let (error, isOpen) = try await check(host, reached: address)
            #expect(error == nil && isOpen, "\(host) \(address)")
        }
    }

    @Test func whatMayNotIsClosed() async throws {
        for (host, address) in [
            ("api.example", "169.254.169.254"), ("api.example", "fe80::1"), ("api.example", "::ffff:169.254.169.254"), ("localhost", "10.0.0.1"),
        ] {
            let (error, isOpen) = try await check(host, reached: address)
            #expect(error is ServiceAddressRefusal && !isOpen, "\(host) \(address) \(String(describing: error))")
        }
        // Without an address nothing is known of it.
        let (error, isOpen) = try await check("api.example", reached: nil)
        #expect(error != nil && !isOpen)
    }
}
