import FoundationEssentials
import ManagedAgentsClient
import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternJSON
import PosternTLS
import PosternTunnelLink
import PosternTunnelWire

/// Dials one connection through a tunnel: TCP to the edge, outer TLS and `CONNECT` or neither, inner TLS with the connector.
struct EdgeDialer: Sendable {
    let route: TunnelRoute
    let credentials: TunnelCredentials
    let tls: TunnelTLS
    let group: any EventLoopGroup
    let times: TunnelTimes
    let now: @Sendable () -> Date
    /// Looks at each connection to an edge before anything is sent on it; see `TunnelConnections.Settings`.
    let checkConnection: @Sendable (any Channel) -> EventLoopFuture<Void>

    /// Nothing of a request is sent here. Cancelling ends it.
    func dial() async throws(TunnelDialError) -> ByteStream {
        var failure = TunnelDialError.edgeConnection(address: route.edge.name, reason: "it has no address")
        for address in route.edge.addresses {
            do throws(TunnelDialError) {
                return try await dial(address)
            } catch {
                failure = error
                // Another address is asked only where this one has not opened the call.
                guard error.isWorthAnotherAddress, !Task.isCancelled else { break }
            }
        }
        throw failure
    }

    /// Legs that a call tries by one address, where inner handshakes fail.
    private static let mostLegs = 3

    private func dial(_ address: EdgeAddress) async throws(TunnelDialError) -> ByteStream {
        var tried = 0
        while true {
            let stream = try await connect(address)
            var call: String?
            do throws(TunnelDialError) {
                if let outer = tls.outer {
                    try await startOuter(stream, outer, address)
                    call = try await askToConnect(stream)
                }
                try await startInner(stream)
                return stream
            } catch {
                stream.close()
                guard let call, let reason = error.report, !Task.isCancelled else { throw error }
                tried += 1
                // The edge passes over that leg then. Nothing of a request was sent, so another one may have it.
                guard await report(TunnelReport(call: call, reason: reason), address), tried < Self.mostLegs else { throw error }
            }
        }
    }

    /// Tells the edge that an inner handshake failed; whether there are legs of which this caller has not said so.
    private func report(_ report: TunnelReport, _ address: EdgeAddress) async -> Bool {
        guard let outer = tls.outer, let stream = try? await connect(address) else { return false }
        defer { stream.close() }
        do {
            try await startOuter(stream, outer, address)
            try await stream.write(report.encoded(host: route.edge.name, apiKey: credentials.apiKey?.value))
            var reader = MessageReader(stream)
            guard let lines = try await reader.head(idle: times.edge, whole: times.edge) else { return false }
            let head = try ResponseHead(lines: lines)
            guard head.status == 200 else { return false }
            return (try? JSON(parsing: await body(of: head, &reader)))?["others"]?.bool == true
        } catch {
            // It is told for the sake of the next call; this one's error says what is wrong.
            return false
        }
    }

    private func connect(_ address: EdgeAddress) async throws(TunnelDialError) -> ByteStream {
        do {
            let channel = try await ClientBootstrap(group: group)
                .connectTimeout(times.edge)
                .channelOption(.autoRead, value: false)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: address.host, port: address.port).get()
            do {
                try await channel.eventLoop.flatSubmit { [checkConnection] in checkConnection(channel) }.get()
                return try await ByteStream.attach(to: channel)
            } catch {
                channel.close(promise: nil)
                throw error
            }
        } catch {
            throw .edgeConnection(address: "\(address)", reason: Self.reason(error))
        }
    }

    private static func reason(_ error: any Error) -> String {
        if let error = error as? NIOConnectionError {
            if let first = error.connectionErrors.first { return reason(first.error) }
            return "its name cannot be resolved"
        }
        if case ChannelError.connectTimeout = error { return "it did not answer in time" }
        return String("\(error)".prefix(300))
    }

    private func startOuter(_ stream: ByteStream, _ context: NIOSSLContext, _ address: EdgeAddress) async throws(TunnelDialError) {
        let name = route.edge.name
        do {
            _ = try await stream.startTLS(within: times.edge) { try NIOSSLClientHandler(context: context, serverHostname: name) }
        } catch {
            switch TLSFailure(error) {
            case .timedOut: throw .tooSlow(.edgeTLS)
            case .certificateRefused(let alert): throw .edgeRefusedCertificate(alert)
            case let failure:
                let authority = route.edge.authorities == nil ? "that this machine trusts" : "that is given for the edge"
                throw .edgeTLS(
                    address: "\(address)", reason: "\(failure) (the certificate has to name \(name), and be of an authority \(authority))")
            }
        }
    }

    /// The edge's name for the call, where it gives one.
    private func askToConnect(_ stream: ByteStream) async throws(TunnelDialError) -> String? {
        do {
            try await stream.write(ConnectExchange.request(host: route.shown.name, apiKey: credentials.apiKey?.value))
            var reader = MessageReader(stream)
            guard let lines = try await reader.head(idle: times.edge, whole: times.edge) else {
                throw TunnelDialError.connectAnswer("the edge closed the connection")
            }
            let head = try ResponseHead(lines: lines)
            guard try ConnectExchange.isOpen(head, rest: reader.buffer.readableBytes) else {
                throw ConnectExchange.refusal(head, body: await body(of: head, &reader))
            }
            return TunnelReport.call(head.fields)
        } catch let error as TunnelDialError {
            throw error
        } catch let error as HTTPRefusal {
            throw .connectAnswer(error.reason)
        } catch {
            switch TLSFailure(error) {
            case .timedOut: throw .tooSlow(.connect)
            // TLS 1.3 tells a client that its certificate is refused after the client's handshake is over.
            case .certificateRefused(let alert): throw .edgeRefusedCertificate(alert)
            case let failure: throw .connectAnswer("\(failure)")
            }
        }
    }

    /// The edge's JSON; nothing where it does not come as a whole: the status says enough.
    private func body(of head: ResponseHead, _ reader: inout MessageReader) async -> [UInt8] {
        guard let framing = try? BodyFraming(response: head, to: "POST") else { return [] }
        return (try? await reader.body(framing, most: JSONAnswer.longestRefusal, until: .now() + times.edge)) ?? []
    }

    private func startInner(_ stream: ByteStream) async throws(TunnelDialError) {
        let verifier = InnerVerifier(authorities: credentials.authorities, host: route.host.name, now: now)
        let context = tls.inner
        let shown = route.shown.name
        let chosen: String?
        do {
            chosen = try await stream.startTLS(within: times.inner) { try verifier.handler(context, serverName: shown) }
        } catch {
            if let rule = verifier.refusal { throw .rule(rule) }
            switch TLSFailure(error) {
            case .timedOut: throw .tooSlow(.innerTLS)
            case .unrecognizedName: throw .notOpen
            case .internalError: throw route.routeKey == nil ? .noConnector : .noConnectorByID
            case .oldProtocol: throw .oldProtocol
            case .noApplicationProtocol: throw .noApplicationProtocol
            case .certificateRefused(let alert): throw .connectorRefusedCertificate(alert)
            case let failure: throw .innerTLS("\(failure)")
            }
        }
        guard verifier.hasAccepted else { throw .innerTLS("the other side showed no certificate") }
        guard chosen == TunnelTLS.protocolName else { throw .noApplicationProtocol }
    }
}
