import Logging
import NIOCore
import NIOSSL
import PosternHTTP
import PosternTLS
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire

/// One connection to the edge: its first ClientHello decides what becomes of it.
struct Ingress: Sendable {
    let settings: EdgeSettings
    let tls: NIOSSLContext
    let keys: KeyDesk
    let table: LegTable
    let windows: WindowPool
    let directory: any EdgeDirectory
    let metrics: EdgeMetrics
    let logger: Logger

    private var calls: CallPath { CallPath(table: table, limits: settings.limits, metrics: metrics, logger: logger) }

    /// Returns when the connection has ended.
    func serve(_ stream: ByteStream, _ admission: Admission) async {
        metrics.connections.increment()
        defer { stream.close() }
        do {
            guard let (hello, bytes) = try await stream.clientHello(within: settings.limits.hello) else { return refuse("no_hello") }
            switch EdgeRoute(serverName: hello.serverName, own: settings.domain) {
            case .edge: try await serveOwnName(stream, admission, replay: bytes)
            case .tunnel(let host):
                admission.show()
                await splice(stream, admission, host, first: bytes)
            case .foreign:
                refuse("foreign_name")
                await farewell(stream, .unrecognizedName)
            }
        } catch is ClientHelloError {
            refuse("malformed_hello")
        } catch is TimedOut {
            refuse("too_slow")
        } catch {
            logger.debug("connection ended", metadata: ["reason": "\(error)"])
        }
    }

    private func refuse(_ reason: String) { metrics.refusals.increment(labels: [reason]) }

    /// The name belongs to a tunnel, or to none: what follows is between the client and the connector.
    private func splice(_ stream: ByteStream, _ admission: Admission, _ host: TunnelHost, first: ByteBuffer) async {
        guard table.isReady else {
            refuse(CallRefusal.notReady.reason)
            await farewell(stream, .internalError)
            return
        }
        guard let tunnel = table.tunnel(domain: host.domain), tunnel.splices else {
            refuse(CallRefusal.notOpen.reason)
            await farewell(stream, .unrecognizedName)
            return
        }
        do {
            let slot = try CallSlot.take(of: tunnel, .splice(admission.address), admission.shares)
            defer { slot.leave() }
            try await calls.run(stream, to: host, first: first, slot)
        } catch let refusal as ShareRefusal {
            refuse(refusal.rawValue)
            await farewell(stream, .internalError)
        } catch let refusal as CallRefusal {
            refuse(refusal.reason)
            logger.info("a spliced call was not connected", metadata: ["tunnel": "\(tunnel.id)", "reason": "\(refusal)"])
            if case .notOpen = refusal { await farewell(stream, .unrecognizedName) } else { await farewell(stream, .internalError) }
        } catch {
            logger.debug("a spliced call ended", metadata: ["tunnel": "\(tunnel.id)", "reason": "\(error)"])
        }
    }

    private func farewell(_ stream: ByteStream, _ alert: TLSAlert) async {
        try? await stream.write(alert.record)
        await stream.closeGently(within: .seconds(1))
    }

    private func serveOwnName(_ stream: ByteStream, _ admission: Admission, replay: ByteBuffer) async throws {
        let tls = tls
        _ = try await stream.startTLS(replay: replay, within: settings.limits.handshake) {
            // Whoever holds the key of a certificate may show it; whose key counts, the list of tunnels says.
            NIOSSLServerHandler(context: tls, customVerificationCallback: { $1.succeed(.certificateVerified) }, configuration: .init())
        }
        let front = EdgeFront(
            own: settings.domain, limits: settings.limits, keys: keys, table: table, windows: windows, directory: directory, calls: calls,
            metrics: metrics,
            logger: logger)
        await front.serve(stream, admission)
    }
}
