import ManagedAgentsClient
import NIOCore
import PosternHTTP
import PosternTunnelWire

/// HTTP/1.1 to one host of a tunnel, through an edge: a transport as `HTTPLink` takes it.
///
/// Only dialling is tried again, past another address of the edge. A request is sent once: as soon as a byte of it may have reached the connector,
/// whatever breaks is reported as `TransportError.broken`.
package struct TunnelTransport: ClientTransport {
    private let host: TunnelHost
    private let connections: TunnelConnections
    private let passage: @Sendable () async throws(TransportError) -> TunnelPassage

    /// - Parameters:
    ///   - host: of the server. Every passage has to lead there.
    ///   - passage: asked for each request, so that a new certificate or another way gets new connections; the old ones carry no further request of
    ///     this transport and end in their time.
    package init(
        _ host: TunnelHost, connections: TunnelConnections, passage: @escaping @Sendable () async throws(TransportError) -> TunnelPassage
    ) {
        self.host = host
        self.connections = connections
        self.passage = passage
    }

    /// One way for all requests.
    package init(
        _ route: TunnelRoute, connections: TunnelConnections, credentials: @escaping @Sendable () async throws(TransportError) -> TunnelCredentials
    ) {
        self.init(route.host, connections: connections) { () async throws(TransportError) in TunnelPassage(route, try await credentials()) }
    }

    package func send(_ request: ClientRequest) async throws(TransportError) -> ClientResponse {
        let (seconds, attoseconds) = request.timeout.components
        let deadline = NIODeadline.now() + .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        let id = CallRenewal.newID()
        let wire: InnerRequest
        do throws(InnerRequest.Invalid) { wire = try InnerRequest(request, host: host.name, call: id) } catch { throw .refused("\(error)") }
        let connection = try await connections.take(passage)
        let renewal = TunnelRenewal(id, host, connections, connection, passage: passage)
        let call = TunnelCall(connections, connection, renewal: renewal)
        let head = try await call.send(wire, within: max(.nanoseconds(1), deadline - .now()))
        try call.finishIfEmpty()
        let fields = head.fields.all.map { (name: $0.name, value: $0.text) }
        return ClientResponse(status: head.status, headers: ClientHeaders(fields), body: ClientBody(TunnelBody(call: call)))
    }
}

/// The body of an answer, read from the connection as it is asked for. One reader at a time.
struct TunnelBody: AsyncSequence, Sendable {
    typealias Element = [UInt8]
    typealias Failure = any Error

    let call: TunnelCall

    struct AsyncIterator: AsyncIteratorProtocol {
        let call: TunnelCall

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? { try await call.next() }
        mutating func next() async throws -> [UInt8]? { try await call.next() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: call) }
}
