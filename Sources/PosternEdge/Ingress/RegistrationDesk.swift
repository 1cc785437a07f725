import Logging
import NIOCore
import PosternHTTP
import PosternJSON
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire

/// Passes a tunnel's log of registrations from the control plane to the tunnel's connectors. What it passes is signed: an edge can keep it back, and
/// can change nothing of it.
struct RegistrationDesk: Sendable {
    let limits: EdgeLimits
    let keys: KeyDesk
    let table: LegTable
    let directory: any EdgeDirectory
    let metrics: EdgeMetrics
    let logger: Logger

    /// Returns when the answer is sent.
    func serve(_ stream: ByteStream, _ admission: Admission, _ head: RequestHead) async throws {
        do {
            let request = try RegistrationRequest(head)
            let key = try await keys.key(of: stream, head, .init(request))
            guard table.isReady else { throw LegRefusal(.unavailable, "the edge does not know its tunnels yet; try again") }
            guard let tunnel = table.tunnel(id: request.tunnelID) else {
                throw LegRefusal(.tunnelArchived, "the tunnel \(request.tunnelID) is archived, or there is none with this id")
            }
            guard tunnel.connectorKeys.contains(key.fingerprint) else {
                throw LegRefusal(.notEnrolled, "the connector's key \(key.fingerprint) is not enrolled for the tunnel")
            }
            admission.name()
            // An answer can have megabytes, which wait here for who does not read.
            guard let place = admission.shares.registrations.take(key.fingerprint) else {
                throw LegRefusal(
                    .unavailable, "\(RegistrationPlaces.most) requests of this key for registrations run already; try again when one has ended")
            }
            defer { place.leave() }
            let answer: JSON
            do throws(EdgeDirectoryError) {
                answer = try await directory.registrations(tunnelID: tunnel.id, since: request.since)
            } catch {
                metrics.directoryFailures.increment()
                logger.warning("the registrations of a tunnel could not be asked for", metadata: ["tunnel": "\(tunnel.id)", "reason": "\(error)"])
                throw LegRefusal(.unavailable, "the control plane does not answer; try again")
            }
            try await write(JSONAnswer.encoded(status: 200, json: answer), to: stream)
        } catch let refusal as LegRefusal {
            metrics.refusals.increment(labels: [refusal.reason.rawValue])
            try? await write(JSONAnswer.encoded(status: refusal.status, json: refusal.json), to: stream)
        }
        await stream.closeGently()
    }

    /// Who has not taken all of it in time is cut: it asks again.
    private func write(_ bytes: [UInt8], to stream: ByteStream) async throws {
        let deadline = stream.channel.eventLoop.scheduleTask(in: limits.stall) { stream.close() }
        defer { deadline.cancel() }
        try await stream.write(bytes)
    }
}
