import Logging
import NIOCore
import NIOSSL
import PosternHTTP
import PosternJSON
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire

/// The edge's own name, behind outer TLS: one request on each connection, for a leg or for a call by `CONNECT`.
struct EdgeFront: Sendable {
    let own: String
    let limits: EdgeLimits
    let keys: KeyDesk
    let table: LegTable
    let windows: WindowPool
    let directory: any EdgeDirectory
    let calls: CallPath
    let metrics: EdgeMetrics
    let logger: Logger

    /// Returns when the connection has ended.
    func serve(_ stream: ByteStream, _ admission: Admission) async {
        var reader = MessageReader(stream)
        do {
            guard let lines = try await reader.head(idle: limits.request, whole: limits.request) else { return }
            let head = try RequestHead(lines: lines)
            admission.show()
            if head.method == "CONNECT" {
                try await ConnectDesk(limits: limits, table: table, directory: directory, calls: calls, metrics: metrics, logger: logger)
                    .serve(stream, admission, head, early: reader.takeBuffer())
            } else if LegRequest.matches(head) {
                try await LegDesk(limits: limits, keys: keys, table: table, windows: windows, directory: directory, metrics: metrics, logger: logger)
                    .serve(stream, admission, head, rest: reader.takeBuffer())
            } else if TunnelReport.matches(head) {
                let connect = ConnectDesk(limits: limits, table: table, directory: directory, calls: calls, metrics: metrics, logger: logger)
                try await ReportDesk(connect: connect, table: table, metrics: metrics, logger: logger).serve(stream, admission, head)
            } else if RegistrationRequest.matches(head) {
                try await RegistrationDesk(limits: limits, keys: keys, table: table, directory: directory, metrics: metrics, logger: logger)
                    .serve(stream, admission, head)
            } else {
                await stream.answer(404, "not_found_error", "an edge serves \(LegRequest.path) and CONNECT, nothing else")
            }
        } catch let refusal as HTTPRefusal {
            metrics.refusals.increment(labels: ["malformed_request"])
            await stream.answer(refusal.status, "invalid_request_error", refusal.reason)
        } catch is TimedOut {
            metrics.refusals.increment(labels: ["too_slow"])
            await stream.answer(408, "timeout_error", "the request was not complete in time")
        } catch {
            logger.debug("connection ended", metadata: ["reason": "\(error)"])
        }
    }
}

extension ByteStream {
    /// A refusal in the form of the API's errors, after which the connection ends.
    func answer(_ status: Int, _ type: String, _ message: String, _ fields: [(name: String, value: String)] = []) async {
        let json: JSON = ["type": "error", "error": ["type": .string(type), "message": .string(message)]]
        try? await write(JSONAnswer.encoded(status: status, json: json, fields: fields))
        await closeGently()
    }
}
