import Logging
import ManagedAgentsAPI
import NIOCore
import PosternHTTP
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Takes legs: a connector proves its key, and the control plane has said whose key that is.
struct LegDesk: Sendable {
    let limits: EdgeLimits
    let keys: KeyDesk
    let table: LegTable
    let windows: WindowPool
    let directory: any EdgeDirectory
    let metrics: EdgeMetrics
    let logger: Logger

    /// Returns when the leg, or what asked for it, has ended.
    func serve(_ stream: ByteStream, _ admission: Admission, _ head: RequestHead, rest: ByteBuffer) async throws {
        let id = table.nextID()
        do {
            let request = try LegRequest(head)
            guard rest.readableBytes == 0 else { throw LegRefusal(.malformed, "nothing may follow the request before its answer") }
            let key = try await keys.key(of: stream, head, .init(request))
            try await admit(request, key)
            try table.checkPlace(tunnelID: request.tunnelID, connectorKey: key.fingerprint, name: request.leg, asked: id)
            try await run(stream, admission, request, key, id)
        } catch let refusal as LegRefusal {
            metrics.refusals.increment(labels: [refusal.reason.rawValue])
            logger.info("a leg was refused", metadata: ["reason": "\(refusal)"])
            try? await stream.write(JSONAnswer.encoded(status: refusal.status, json: refusal.json, fields: [("Date", Self.date)]))
            await stream.closeGently()
        }
    }

    /// Now. Connectors compare their clocks with it.
    private static var date: String { HTTPDate.text(Timestamp.now()) }

    /// Returns where the key may open legs of the tunnel, after it was enrolled if need be.
    private func admit(_ request: LegRequest, _ key: ConnectorKey) async throws {
        guard table.isReady else { throw LegRefusal(.unavailable, "the edge does not know its tunnels yet; try again") }
        if let token = request.token {
            let enrolment: EdgeEnrolment
            do throws(EdgeDirectoryError) {
                enrolment = try await directory.enrol(token: token, connectorKey: key.der)
            } catch {
                metrics.directoryFailures.increment()
                logger.warning("a connector's key could not be enrolled", metadata: ["reason": "\(error)"])
                throw LegRefusal(.unavailable, "the control plane does not answer, so the key cannot be enrolled; try again")
            }
            switch enrolment {
            case .refused(let refusal): throw refusal
            case .enrolled(let tunnelID, let fingerprint):
                guard tunnelID == request.tunnelID, fingerprint == key.fingerprint else {
                    throw LegRefusal(.notEnrolled, "the token is another tunnel's: it enrolled the key for \(tunnelID)")
                }
                logger.info("a connector's key was enrolled", metadata: ["tunnel": "\(tunnelID)", "key": "\(fingerprint)"])
                await told(of: key, tunnelID)
            }
        }
        guard let tunnel = table.tunnel(id: request.tunnelID) else {
            throw LegRefusal(.tunnelArchived, "the tunnel \(request.tunnelID) is archived, or there is none with this id")
        }
        guard tunnel.connectorKeys.contains(key.fingerprint) else {
            throw LegRefusal(
                .notEnrolled, "the connector's key \(key.fingerprint) is not enrolled for the tunnel, or was revoked: enrol it by a tunnel token")
        }
    }

    /// The news of an enrolment comes with the list of tunnels, which is asked for all the time: it is there within moments.
    private func told(of key: ConnectorKey, _ tunnelID: String) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await table.change(tunnelID: tunnelID) { table.tunnel(id: tunnelID)?.connectorKeys.contains(key.fingerprint) == true }
            }
            group.addTask { try? await Task.sleep(for: .seconds(5)) }
            await group.next()
            group.cancelAll()
        }
    }

    private func run(_ stream: ByteStream, _ admission: Admission, _ request: LegRequest, _ key: ConnectorKey, _ id: Int) async throws {
        try await stream.write(LegAnswer.accepted(date: Self.date))
        let standing = StandingLeg()
        let leg = try await Leg.begin(
            .edge, on: stream, rest: ByteBuffer(), times: limits.leg, pool: windows, .init(goAway: { _ in standing.drain() }))
        let entry = EdgeLeg(
            id: id, tunnelID: request.tunnelID, connectorKey: key.fingerprint, name: request.leg, version: request.version, since: time(nil),
            certificateExpires: request.certificateExpires, leg: leg
        )
        standing.set(entry)
        do {
            try table.add(entry)
        } catch {
            // Archived, revoked, full or replaced since a moment ago: after the 101 there is no other way to say it, and the next try hears why.
            leg.close()
            return
        }
        // From now on it counts for its tunnel and workspace.
        admission.name()
        metrics.legs.increment()
        logger.info("a leg stands", metadata: ["tunnel": "\(request.tunnelID)", "leg": "\(id)", "key": "\(key.fingerprint)"])
        await withTaskCancellationHandler {
            await leg.ended()
        } onCancel: {
            leg.close()
        }
        table.remove(entry)
        metrics.legs.decrement()
        logger.info("a leg ended", metadata: ["tunnel": "\(request.tunnelID)", "leg": "\(id)"])
    }
}
