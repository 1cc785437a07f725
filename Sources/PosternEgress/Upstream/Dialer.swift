import NIOCore
import NIOPosix
import PosternHTTP
import PosternPolicy

/// Connects to destinations: resolves, checks each address against the address policy, and dials exactly a checked one.
package struct Dialer: Sendable {
    /// A corporate proxy and the `user:password` for it.
    package struct Parent: Sendable {
        var address: Authority
        var credential: SecretValue?

        package init(_ address: Authority, credential: SecretValue? = nil) {
            self.address = address
            self.credential = credential
        }
    }

    private let group: any EventLoopGroup
    private let resolve: NameResolver
    private let parent: Parent?
    private let time: TimeAmount
    private let gate: PauseGate

    /// `time` bounds the attempt at each address. While `gate` is paused nothing is dialled.
    init(
        group: any EventLoopGroup, resolve: @escaping NameResolver, parent: Parent? = nil, time: TimeAmount = .seconds(10),
        gate: PauseGate = PauseGate()
    ) {
        self.group = group
        self.resolve = resolve
        self.parent = parent
        self.time = time
        self.gate = gate
    }

    /// Where a destination leads: the addresses that may be dialled, or through the parent proxy by name.
    enum Route: Sendable, Hashable {
        case direct([IPAddress])
        case parent
    }

    /// The checked addresses of `destination`. Throws `AddressRefusal` if none of its addresses may be dialled, `UnknownName` if it has none.
    ///
    /// Behind a parent proxy, names are the parent's to resolve; addresses are checked all the same.
    func route(to destination: Authority, _ policy: AddressPolicy) async throws -> Route {
        switch destination.host {
        case .address(let address):
            if let refusal = policy.refusal(of: address) { throw refusal }
            return parent == nil ? .direct([address]) : .parent
        case .name(let name):
            if parent != nil { return .parent }
            var first: AddressRefusal?
            var allowed: [IPAddress] = []
            for address in try await resolve(name) {
                if let refusal = policy.refusal(of: address) { first = first ?? refusal } else { allowed.append(address) }
            }
            guard allowed.isEmpty else { return .direct(allowed) }
            throw first as (any Error)? ?? UnknownName(name: name, reason: "it has no address")
        }
    }

    /// A connected channel with nothing but a valve in its pipeline that does not read by itself and lets its peer close one half; and what was dialled.
    func connect(to destination: Authority, by route: Route) async throws -> (channel: any Channel, address: IPAddress?) {
        switch route {
        case .direct(let addresses):
            var failure: any Error = UnknownName(name: destination.host.description, reason: "it has no address")
            for address in addresses.prefix(4) {
                do {
                    return (try await dial(address, destination.port), address)
                } catch {
                    try Task.checkCancellation()
                    failure = error
                }
            }
            throw failure
        case .parent: return (try await throughParent(destination), nil)
        }
    }

    /// Resolves, checks and dials in one step.
    package func connect(to destination: Authority, _ policy: AddressPolicy) async throws -> any Channel {
        try await connect(to: destination, by: try await route(to: destination, policy)).channel
    }

    private func dial(_ address: IPAddress, _ port: UInt16) async throws -> any Channel {
        let target = try SocketAddress(packedIPAddress: ByteBuffer(bytes: address.bytes), port: Int(port))
        try await gate.pass()
        return try await ClientBootstrap(group: group)
            .connectTimeout(time)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { [gate] channel in channel.eventLoop.makeCompletedFuture { try gate.attach(to: channel) } }
            .connect(to: target).get()
    }

    /// `CONNECT` at the parent proxy (RFC 9110, section 9.3.6). Its own address is the operator's choice and is not checked.
    private func throughParent(_ destination: Authority) async throws -> any Channel {
        guard let parent else { throw ParentRefused(reason: "there is none") }
        let addresses = if case .address(let address) = parent.address.host { [address] } else { try await resolve(parent.address.host.description) }
        guard let address = addresses.first else { throw ParentRefused(reason: "it has no address") }
        let channel = try await dial(address, parent.address.port)
        do {
            let stream = try await ByteStream.attach(to: channel)
            var head = "CONNECT \(destination) HTTP/1.1\r\nHost: \(destination)\r\n"
            if let credential = parent.credential {
                head += "Proxy-Authorization: Basic \(String(decoding: Base64.encode(credential.bytes), as: UTF8.self))\r\n"
            }
            try await stream.write(Array((head + "\r\n").utf8))
            var reader = MessageReader(stream)
            guard let lines = try await reader.head(idle: time, whole: time) else { throw ParentRefused(reason: "it closed the connection") }
            let answer = try ResponseHead(lines: lines)
            guard answer.status / 100 == 2, reader.buffer.readableBytes == 0 else { throw ParentRefused(reason: "it answered \(answer.status)") }
            try await stream.detach()
            return channel
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }
}

/// The corporate proxy did not connect.
struct ParentRefused: Error, CustomStringConvertible {
    var reason: String
    var description: String { "the corporate proxy did not connect: \(reason)" }
}
