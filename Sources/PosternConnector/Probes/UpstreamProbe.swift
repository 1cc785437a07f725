import NIOCore
import NIOPosix
import NIOSSL
import PosternPolicy
import PosternTLS
import PosternTunnelLink

/// Walks the way of a call to a route's upstream, up to where HTTP would begin, and says how far it came.
package struct UpstreamProbe: Sendable {
    private let route: ConnectorConfiguration.Route
    private let tls: NIOSSLContext?
    private let resolve: ConnectorResolver
    private let group: any EventLoopGroup
    private let time: TimeAmount

    /// - Parameter timeout: for each step.
    package init(
        _ name: String, _ route: ConnectorConfiguration.Route, _ material: ConnectorMaterial, resolve: @escaping ConnectorResolver, timeout: Duration,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) throws {
        self.route = route
        tls = route.upstream.isTLS ? try material.upstreamTLS(name) : nil
        self.resolve = EdgeProbe.bounded(resolve, by: timeout)
        self.group = group
        time = TimeAmount(timeout)
    }

    /// What was done.
    package enum Step: Sendable, Hashable {
        case resolved([IPAddress])
        /// What the route's address policy leaves of them.
        case allowed([IPAddress])
        case connected(IPAddress)
        /// A unix socket takes connections.
        case listening(String)
        case tls
    }

    package enum Failure: Sendable {
        case name(String)
        case address(UpstreamAddressRefusal)
        case connection(String)
        case tls(TLSFailure)
    }

    package struct Outcome: Sendable {
        /// Each with how long it took.
        package var steps: [(step: Step, duration: Duration)] = []
        /// `nil` where all of it was done.
        package var failure: Failure?
        package var failedAfter = Duration.zero
        /// What was dialled.
        package var address: IPAddress?
    }

    package func ask() async -> Outcome {
        var outcome = Outcome()
        var last = ContinuousClock.now
        func done(_ step: Step) {
            outcome.steps.append((step, .now - last))
            last = .now
        }
        outcome.failure = await walk { step in
            if case .connected(let address) = step { outcome.address = address }
            done(step)
        }
        outcome.failedAfter = .now - last
        return outcome
    }

    private func walk(_ done: (Step) -> Void) async -> Failure? {
        switch route.upstream {
        case .network(_, let authority): return await walk(to: authority, done)
        case .socket(let path):
            do {
                let channel = try await connect(try SocketAddress(unixDomainSocketPath: path))
                channel.close(promise: nil)
            } catch {
                return .connection("\(path): \(error)")
            }
            done(.listening(path))
            return nil
        // It is started by the first call that needs it.
        case .command: return nil
        }
    }

    private func walk(to authority: Authority, _ done: (Step) -> Void) async -> Failure? {
        let addresses: [IPAddress]
        switch authority.host {
        case .address(let address): addresses = [address]
        case .name(let name):
            do { addresses = try await resolve(name) } catch { return .name("\(error)") }
            done(.resolved(addresses))
        }
        let allowed = addresses.filter { route.addresses.refusal(of: $0) == nil }
        if allowed.isEmpty {
            return addresses.lazy.compactMap { route.addresses.refusal(of: $0) }.first.map { .address($0) } ?? .name("it has no address")
        }
        done(.allowed(allowed))
        var failure = Failure.connection("it has no address")
        for address in allowed.prefix(4) {
            do {
                let channel = try await connect(
                    try SocketAddress(packedIPAddress: ByteBuffer(bytes: address.bytes), port: Int(authority.port)))
                defer { channel.close(promise: nil) }
                done(.connected(address))
                guard let tls else { return nil }
                do {
                    let stream = try await ByteStream.attach(to: channel)
                    let host: String? = if case .name(let name) = authority.host { name } else { nil }
                    _ = try await stream.startTLS(within: time) { try NIOSSLClientHandler(context: tls, serverHostname: host) }
                    done(.tls)
                    return nil
                } catch {
                    return .tls(TLSFailure(error))
                }
            } catch {
                failure = .connection("\(address): \(error)")
                if Task.isCancelled { break }
            }
        }
        return failure
    }

    private func connect(_ target: SocketAddress) async throws -> any Channel {
        try await ClientBootstrap(group: group).connectTimeout(time).channelOption(.autoRead, value: false).connect(to: target).get()
    }
}
