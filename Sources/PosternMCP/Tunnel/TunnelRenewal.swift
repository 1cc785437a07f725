import FoundationEssentials
import ManagedAgentsClient
import NIOCore
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// Keeps one call going past the end of the certificate that it began with: before that ends, and as soon as there is a newer certificate, that one is
/// shown on a connection of its own, which asks the connector for more time.
final class TunnelRenewal: Sendable {
    /// What the call is called.
    private let id: String
    private let host: TunnelHost
    private let connections: TunnelConnections
    private let connection: TunnelConnections.Connection
    private let passage: @Sendable () async throws(TransportError) -> TunnelPassage
    private let state = Mutex(State())

    private struct State {
        var isOver = false
        var timer: Scheduled<Void>?
        var task: Task<Void, Never>?
    }

    init(
        _ id: String, _ host: TunnelHost, _ connections: TunnelConnections, _ connection: TunnelConnections.Connection,
        passage: @escaping @Sendable () async throws(TransportError) -> TunnelPassage
    ) {
        (self.id, self.host, self.connections, self.connection, self.passage) = (id, host, connections, connection, passage)
    }

    /// Begins to watch the certificate's end. Until `stop`.
    func start() { wait(until: connection.notAfter) }

    func stop() {
        let (timer, task) = state.withLock { state in
            state.isOver = true
            defer { (state.timer, state.task) = (nil, nil) }
            return (state.timer, state.task)
        }
        timer?.cancel()
        task?.cancel()
    }

    /// Of what is left, a third remains for asking: a minute at most, and never so little that a call could not be asked for in time.
    private func wait(until ends: Date) {
        let left = max(0, ends.timeIntervalSince(connections.settings.now()))
        let time = max(left - 60, left * 2 / 3, 0.05)
        let timer = connection.stream.channel.eventLoop.scheduleTask(in: .nanoseconds(Int64(min(time, 48 * 3600) * 1e9))) { [weak self] () -> Void in
            self?.begin(ends)
        }
        let isOver = state.withLock { state in
            if !state.isOver { state.timer = timer }
            return state.isOver
        }
        if isOver { timer.cancel() }
    }

    private func begin(_ ends: Date) {
        state.withLock { state in
            guard !state.isOver else { return }
            // By itself, since the call's reader waits for the answer; `stop` ends it.
            state.task = Task { [weak self] in await self?.renew(ends) }
        }
    }

    private func renew(_ ends: Date) async {
        guard connections.settings.now() < ends else { return }
        do throws(TransportError) {
            let newer = try await passage()
            let notAfter = newer.credentials.notAfter
            guard notAfter > ends else { return wait(until: ends) }
            guard try await ask(newer) else { return }
            connections.prolong(connection.id, until: notAfter)
            wait(until: notAfter)
        } catch {
            guard !Task.isCancelled else { return }
            // A certificate or a connector that is not there now may be a moment later.
            wait(until: ends)
        }
    }

    /// Whether the connector lets the call go on.
    private func ask(_ newer: TunnelPassage) async throws(TransportError) -> Bool {
        let request: InnerRequest
        do throws(InnerRequest.Invalid) {
            request = try InnerRequest(
                ClientRequest(
                    method: .post, target: CallRenewal.path, headers: ClientHeaders(), body: [], timeout: .seconds(20)), host: host.name,
                call: id)
        } catch {
            throw .refused("\(error)")
        }
        let call = TunnelCall(connections, try await connections.take { () async throws(TransportError) in newer })
        let head = try await call.send(request, within: connections.settings.times.inner)
        try call.finishIfEmpty()
        return head.status == 204
    }
}
