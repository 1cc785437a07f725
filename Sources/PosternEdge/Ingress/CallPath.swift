import FoundationEssentials
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
    func run(_ client: ByteStream, to host: TunnelHost, first: ByteBuffer, _ slot: CallSlot) async throws {
        let (tunnel, opening) = (slot.tunnel, slot.opening)
        let (leg, stream) = try await open(host, tunnel, first, opening, near: client.channel.eventLoop)
        metrics.calls.increment(labels: [opening.way])
        // Who splices has shown nobody who it is, and can report nothing.
        if !opening.isSplice { table.began(slot.id, on: leg, host, opening.reporter) }
        var ended = Relay.Ended()
        defer {
            leg.leave(isSplice: opening.isSplice, bytesIn: ended.received, bytesOut: ended.sent + first.readableBytes)
            metrics.bytes.increment(by: Double(ended.sent + first.readableBytes), labels: ["to_connector"])
            metrics.bytes.increment(by: Double(ended.received), labels: ["to_client"])
        }
        do {
            let cut = { @Sendable in
                stream.abort()
                client.close()
            }
            // A call ends with the certificate that opened it.
            let end = opening.until.map { CallDeadline(until: $0, loop: stream.channel.eventLoop, cut: cut) }
            defer { end?.stop() }
            // Of legs only callers who have shown who they are say something: others could make an edge pass over good ones.
            let onProof = opening.isSplice ? { @Sendable in slot.prove() } : { @Sendable [table] in table.proved(leg, slot.id) }
            let pace: (@Sendable (Int) -> Duration?)? =
                slot.shares.isPaced ? { @Sendable in slot.shares.wait(after: $0, tunnel: tunnel.id) } : nil
            ended = try await table.running(tunnel, opening, end: end, cut: cut) {
                await Relay(
                    client: client, leg: stream, first: first, times: .init(idle: limits.idle, stall: limits.stall), onProof: onProof, pace: pace
                ).run()
            }
        } catch {
            stream.abort()
            throw CallRefusal.notOpen
        }
        if !opening.isSplice, !ended.isProved { doubt(leg) }
        if ended.isStalled { metrics.refusals.increment(labels: ["stalled"]) }
        logger.debug(
            "call ended",
            metadata: [
                "tunnel": "\(tunnel.id)", "leg": "\(leg.id)", "sent": "\(ended.sent)", "received": "\(ended.received)",
                "reason": "\(ended.failure ?? "both sides ended it")",
            ])
    }

    private func doubt(_ leg: EdgeLeg, _ error: LegStreamError? = nil) {
        guard table.failed(leg) else { return }
        metrics.doubts.increment()
        let reason =
            error == .answered(404)
            ? "a connector says again that it has no such route (does its document have it, and tunnel.route_key_file where routes are called by ids?)"
            : "callers do not believe who answers on the legs of a connector's key (is the key yours?)"
        logger.warning(
            "\(reason): its legs are passed over while there are others",
            metadata: ["tunnel": "\(leg.tunnelID)", "key": "\(leg.connectorKey)"])
    }

    private func open(
        _ host: TunnelHost, _ tunnel: EdgeTunnel, _ first: ByteBuffer, _ opening: CallOpening, near loop: any EventLoop
    ) async throws -> (EdgeLeg, ByteStream) {
        let deadline = NIODeadline.now() + limits.reconnect
        var tried: Set<Int> = []
        while true {
            try Task.checkCancellation()
            // It may have been archived while the call waited.
            guard let now = table.tunnel(id: tunnel.id), !opening.isSplice || now.splices else { throw CallRefusal.notOpen }
            if let leg = table.pick(
                tunnelID: tunnel.id, tried: tried, isSplice: opening.isSplice, near: loop, for: opening.isSplice ? nil : opening.reporter)
            {
                do throws(LegStreamError) {
                    return (leg, try await leg.leg.open(host: host.name, first: first, within: limits.answer))
                } catch {
                    leg.leave(isSplice: opening.isSplice, bytesIn: 0, bytesOut: 0)
                    guard error == .refused else {
                        if !opening.isSplice { doubt(leg, error) }
                        throw CallRefusal.connector(error)
                    }
                    tried.insert(leg.id)
                }
                continue
            }
            let rest = deadline - .now()
            guard rest > .zero else { throw CallRefusal.noConnector(seconds: Int(limits.reconnect.nanoseconds / 1_000_000_000)) }
            await wait(tunnel.id, tried, opening, rest)
        }
    }

    /// Returns when there may be a leg that was not tried, or the time is over.
    private func wait(_ tunnelID: String, _ tried: Set<Int>, _ opening: CallOpening, _ time: TimeAmount) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await table.change(tunnelID: tunnelID) {
                    table.tunnel(id: tunnelID) == nil
                        || table.hasLegs(
                            tunnelID: tunnelID, besides: tried, isSplice: opening.isSplice, notShutTo: opening.isSplice ? nil : opening.reporter)
                }
            }
            group.addTask { try? await Task.sleep(for: .nanoseconds(time.nanoseconds)) }
            await group.next()
            group.cancelAll()
        }
    }
}
