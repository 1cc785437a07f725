import FoundationEssentials
import ManagedAgentsClient
import NIOCore
import NIOSSL
import PosternHTTP
import PosternTLS
import PosternTunnelLink
import Synchronization

/// One request and its answer over one connection of the pool. The connection goes back when the answer is whole, and ends where it is not: what is
/// left of an answer that nobody reads any more is read for a moment, unless the task was cancelled, whose end the connector should hear of.
final class TunnelCall: Sendable {
    private let connections: TunnelConnections
    private let connection: TunnelConnections.Connection
    /// Keeps it going past the end of its certificate; `nil` where nothing does.
    private let renewal: TunnelRenewal?
    private let written = Written()
    private let state: Mutex<(http: InnerHTTP, isOver: Bool)>

    /// Whether the whole request was taken by the connection. By itself, so that a write that hangs keeps no call alive.
    private final class Written: Sendable {
        private let flag = Atomic(false)
        var isDone: Bool { flag.load(ordering: .acquiring) }
        func done() { flag.store(true, ordering: .releasing) }
    }

    init(_ connections: TunnelConnections, _ connection: TunnelConnections.Connection, renewal: TunnelRenewal? = nil) {
        self.renewal = renewal
        self.connections = connections
        self.connection = connection
        state = Mutex((InnerHTTP(), false))
    }

    deinit {
        renewal?.stop()
        let (http, isOver) = state.withLock { $0 }
        guard !isOver else { return }
        guard http.hasBegun, written.isDone, !Task.isCancelled, connection.stream.channel.isActive else { return connections.discard(connection) }
        connections.drain(connection, http)
    }

    /// Sends the request and waits for the head of its answer. From the first byte on, whatever breaks is `broken`: nobody sends it again.
    /// - Parameter time: for the head.
    func send(_ request: InnerRequest, within time: TimeAmount) async throws(TransportError) -> ResponseHead {
        do throws(InnerHTTP.Problem) {
            try change { http throws(InnerHTTP.Problem) in try http.begin(request.method) }
        } catch {
            throw over(.broken("\(error)"))
        }
        renewal?.start()
        let channel = connection.stream.channel
        // Not waited for: an answer may come before the whole request has gone, and then the rest of it is of no use.
        channel.writeAndFlush(ByteBuffer(bytes: request.bytes)).whenSuccess { [written] in written.done() }
        let deadline = NIODeadline.now() + time
        while true {
            switch try await step(until: deadline) {
            case .head(let head): return head
            case .part, .ended, .more: continue
            }
        }
    }

    /// The next bytes of the body; `nil` at its end.
    func next() async throws(TransportError) -> [UInt8]? {
        while true {
            if state.withLock({ $0.isOver }) { return nil }
            switch try await step(until: nil) {
            case .part(let part): return Array(part.readableBytesView)
            case .ended: return nil
            case .head, .more: continue
            }
        }
    }

    /// Gives the connection back at once where the answer has no body.
    func finishIfEmpty() throws(TransportError) {
        if state.withLock({ $0.http.isWhole }) { _ = try look() }
    }

    private func look() throws(TransportError) -> InnerHTTP.Step {
        do throws(InnerHTTP.Problem) {
            let step = try change { http throws(InnerHTTP.Problem) in try http.next() }
            if case .ended(let isReusable) = step { end(isReusable: isReusable) }
            return step
        } catch {
            throw over(.broken("\(error)"))
        }
    }

    /// Reads once where nothing is there.
    private func step(until deadline: NIODeadline?) async throws(TransportError) -> InnerHTTP.Step {
        let step = try look()
        guard step == .more else { return step }
        do {
            let bytes = try await connection.stream.read(within: deadline.map { max(.nanoseconds(1), $0 - .now()) })
            if Task.isCancelled { throw over(.cancelled) }
            try change { http throws(InnerHTTP.Problem) in if let bytes { try http.receive(bytes) } else { try http.end() } }
            return .more
        } catch let error as TransportError {
            throw error
        } catch {
            throw over(translated(error))
        }
    }

    private func translated(_ error: any Error) -> TransportError {
        if Task.isCancelled || error is CancellationError { return .cancelled }
        if error is TimedOut { return .timeout("no answer came in time") }
        let (hasBegun, isFirst) = (state.withLock { $0.http.hasBegun }, !connection.isUsed)
        if connections.hasEnded(connection) { return .broken("the client certificate has ended, and the connection with it") }
        if error is InnerHTTP.Problem { return .broken("\(error)") }
        // In TLS 1.3 a client's certificate is judged after the client's part of the handshake: the connector has read nothing of the request.
        if !hasBegun, isFirst, case .certificateRefused(let alert) = TLSFailure(error) {
            return TunnelDialError.connectorRefusedCertificate(alert).transportError
        }
        if case NIOSSLError.uncleanShutdown = error {
            return .broken(hasBegun ? "the answer was cut off (TLS ended without close_notify)" : "TLS ended without close_notify before an answer")
        }
        return .broken("\(TLSFailure(error))")
    }

    private func end(isReusable: Bool) {
        state.withLock { $0.isOver = true }
        renewal?.stop()
        // Where the answer came before the whole request was taken, what is left of that would stand before the next one.
        if isReusable, written.isDone { connections.giveBack(connection) } else { connections.discard(connection) }
    }

    private func over(_ error: TransportError) -> TransportError {
        state.withLock { $0.isOver = true }
        renewal?.stop()
        connections.discard(connection)
        return error
    }

    private func change<Value>(_ body: (inout InnerHTTP) throws(InnerHTTP.Problem) -> Value) throws(InnerHTTP.Problem) -> Value {
        let result = state.withLock { state -> Result<Value, InnerHTTP.Problem> in
            do throws(InnerHTTP.Problem) { return .success(try body(&state.http)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
