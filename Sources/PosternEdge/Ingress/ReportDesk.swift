import Logging
import NIOCore
import PosternHTTP
import PosternJSON
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire

/// Takes what a runtime says of a call whose inner handshake failed. Only who has opened the call can say it, and it counts for that caller's calls.
struct ReportDesk: Sendable {
    let connect: ConnectDesk
    let table: LegTable
    let metrics: EdgeMetrics
    let logger: Logger

    /// Returns when the answer is sent.
    func serve(_ stream: ByteStream, _ admission: Admission, _ head: RequestHead) async throws {
        let report = try TunnelReport(head)
        let credential = try ConnectDesk.credential(head)
        guard let call = table.reportable(report.call) else { return await refuse(stream) }
        let opening: CallOpening
        do throws(ConnectRefusal) {
            opening = try await opened(stream, credential, call.host)
        } catch {
            return await stream.answer(error.status, error.type, error.message, error.fields)
        }
        admission.name()
        guard table.reported(report.call, by: opening) else { return await refuse(stream) }
        metrics.reports.increment(labels: [report.reason.rawValue])
        logger.warning(
            "a caller reports that an inner handshake failed: its calls pass that leg over. Is the connector's key yours?",
            metadata: [
                "tunnel": "\(call.tunnelID)", "leg": "\(call.leg)", "key": "\(call.key)", "reason": "\(report.reason.rawValue)",
            ])
        let others = table.hasLegs(tunnelID: call.tunnelID, besides: [], isSplice: false, notDoubtedBy: opening.reporter)
        try await stream.write(JSONAnswer.encoded(status: 200, json: ["type": "tunnel_report", "others": .bool(others)]))
        await stream.closeGently()
    }

    private func opened(_ stream: ByteStream, _ credential: String?, _ host: TunnelHost) async throws(ConnectRefusal) -> CallOpening {
        if let credential { return try await connect.check(credential, host).1 }
        guard let certificate = (try? await ClientCertificate.of(stream)) ?? nil else { throw .noCredential }
        return try await connect.check(certificate, host).1
    }

    /// The same for a call that there is not, and for somebody else's.
    private func refuse(_ stream: ByteStream) async {
        await stream.answer(404, "not_found_error", "there is no such call of this caller, or it began too long ago, or it was reported already")
    }
}
