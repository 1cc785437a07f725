import Logging
import NIOCore
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire

/// The way of a call from a client to a leg, spliced or by CONNECT.
struct CallPath: Sendable {
    let table: LegTable
    let limits: EdgeLimits
    let metrics: EdgeMetrics
    let logger: Logger

    /// Relays between a client and the connector of `host`. `first` is what the client has sent: it goes to the connector with the opening of
    /// the stream, and again to another leg only where a connector has refused the stream unopened. Throws where no stream opens.
    func run(_ client: ByteStream, to host: TunnelHost, of tunnel: EdgeTunnel, first: ByteBuffer, isSplice: Bool) async throws {
        let (leg, stream) = try await open(host, tunnel, first, isSplice: isSplice, near: client.channel.eventLoop)
        metrics.calls.increment(labels: [isSplice ? "splice" : "connect"])
        var ended = Relay.Ended()
        defer {
            leg.leave(bytesIn: ended.received, bytesOut: ended.sent + first.readableBytes)
            metrics.bytes.increment(by: Double(ended.sent + first.readableBytes), labels: ["to_connector"])
            metrics.bytes.increment(by: Double(ended.received), labels: ["to_client"])
        }
        do {
            let cut = { @Sendable in
                stream.abort()
                client.close()
            }
            ended = try await table.running(tunnel, isSplice: isSplice, cut: cut) {
                await Relay(client: client, leg: stream, idle: limits.idle).run()
            }
        } catch {
            stream.abort()
            throw CallRefusal.notOpen
        }
        logger.debug(
            "call ended",
            metadata: [
                "tunnel": "\(tunnel.id)", "leg": "\(leg.id)", "sent": "\(ended.sent)", "received": "\(ended.received)",
                "reason": "\(ended.failure ?? "both sides ended it")",
            ])
    }

    private func open(
        _ host: TunnelHost, _ tunnel: EdgeTunnel, _ first: ByteBuffer, isSplice: Bool, near loop: any EventLoop
    ) async throws -> (EdgeLeg, ByteStream) {
        let deadline = NIODeadline.now() + limits.reconnect
        var tried: Set<Int> = []
        while true {
            try Task.checkCancellation()
            // It may have been archived while the call waited.
            guard let now = table.tunnel(id: tunnel.id), !isSplice || now.splices else { throw CallRefusal.notOpen }
            if let leg = table.pick(tunnelID: tunnel.id, tried: tried, near: loop) {
                do throws(LegStreamError) {
                    return (leg, try await leg.leg.open(host: host.name, first: first, within: limits.answer))
                } catch {
                    leg.leave(bytesIn: 0, bytesOut: 0)
                    guard error == .refused else { throw CallRefusal.connector(error) }
                    tried.insert(leg.id)
                }
                continue
            }
            let rest = deadline - .now()
            guard rest > .zero else { throw CallRefusal.noConnector(seconds: Int(limits.reconnect.nanoseconds / 1_000_000_000)) }
            await wait(tunnel.id, tried, rest)
        }
    }

    /// Returns when there may be a leg that was not tried, or the time is over.
    private func wait(_ tunnelID: String, _ tried: Set<Int>, _ time: TimeAmount) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await table.change(tunnelID: tunnelID) { table.tunnel(id: tunnelID) == nil || table.hasLegs(tunnelID: tunnelID, besides: tried) }
            }
            group.addTask { try? await Task.sleep(for: .nanoseconds(time.nanoseconds)) }
            await group.next()
            group.cancelAll()
        }
    }
}
