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
    let table: LegTable
    let directory: any EdgeDirectory
    let calls: CallPath
    let metrics: EdgeMetrics
    let logger: Logger

    /// Returns when the connection has ended.
    func serve(_ stream: ByteStream) async {
        var reader = MessageReader(stream)
        do {
            guard let lines = try await reader.head(idle: limits.request, whole: limits.request) else { return }
            let head = try RequestHead(lines: lines)
            if head.method == "CONNECT" {
                try await connect(stream, head, early: reader.takeBuffer())
            } else if LegRequest.matches(head) {
                try await LegDesk(limits: limits, table: table, directory: directory, metrics: metrics, logger: logger)
                    .serve(stream, head, rest: reader.takeBuffer())
            } else {
                await answer(stream, 404, "not_found_error", "an edge serves \(LegRequest.path) and CONNECT, nothing else")
            }
        } catch let refusal as HTTPRefusal {
            metrics.refusals.increment(labels: ["malformed_request"])
            await answer(stream, refusal.status, "invalid_request_error", refusal.reason)
        } catch is TimedOut {
            metrics.refusals.increment(labels: ["too_slow"])
            await answer(stream, 408, "timeout_error", "the request was not complete in time")
        } catch {
            logger.debug("connection ended", metadata: ["reason": "\(error)"])
        }
    }

    private func answer(_ stream: ByteStream, _ status: Int, _ type: String, _ message: String, _ fields: [(name: String, value: String)] = []) async
    {
        let json: JSON = ["type": "error", "error": ["type": .string(type), "message": .string(message)]]
        try? await stream.write(LegAnswer.encoded(status: status, json: json, fields: fields))
        await stream.closeGently()
    }

    /// A tunnel for whoever shows an API key of the tunnel's workspace (RFC 9110, section 9.3.6). What is in it only the connector can read.
    private func connect(_ stream: ByteStream, _ head: RequestHead, early: ByteBuffer) async throws {
        guard head.body.isEmpty else { throw HTTPRefusal("CONNECT has no body") }
        guard let name = ConnectTarget.host(head.target), let host = TunnelHost(name) else {
            throw HTTPRefusal("CONNECT takes HOST:443, with the host of a route of a tunnel")
        }
        guard let credential = try Self.credential(head) else {
            metrics.refusals.increment(labels: ["no_credential"])
            return await answer(
                stream, 407, "authentication_error", "CONNECT needs an API key: send \"Proxy-Authorization: Bearer KEY\"",
                [("Proxy-Authenticate", "Bearer realm=\"postern\"")])
        }
        guard table.isReady else {
            metrics.refusals.increment(labels: [CallRefusal.notReady.reason])
            return await answer(stream, 503, "api_error", "\(CallRefusal.notReady)")
        }
        let tunnel = table.tunnel(domain: host.domain)
        var principal: EdgePrincipal?
        do throws(EdgeDirectoryError) {
            if let tunnel { principal = try await directory.authorize(credential: credential, tunnelID: tunnel.id) }
        } catch {
            metrics.directoryFailures.increment()
            logger.warning("an API key could not be checked", metadata: ["reason": "\(error)"])
            return await answer(stream, 503, "api_error", "the control plane does not answer, so the API key cannot be checked; try again")
        }
        guard let tunnel, let principal, principal.workspaceID == tunnel.workspaceID else {
            metrics.refusals.increment(labels: [CallRefusal.notOpen.reason])
            return await answer(stream, 403, "permission_error", "\(CallRefusal.notOpen)")
        }
        try await stream.write(Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8))
        do {
            var first: ByteBuffer? = early
            if early.readableBytes == 0 { first = try await stream.read(within: limits.firstBytes) }
            guard let first else { throw CallRefusal.noFirstBytes }
            try await calls.run(stream, to: host, of: tunnel, first: first, isSplice: false)
        } catch let refusal as CallRefusal {
            metrics.refusals.increment(labels: [refusal.reason])
            logger.info("a call was not connected", metadata: ["tunnel": "\(tunnel.id)", "principal": "\(principal.id)", "reason": "\(refusal)"])
            // Where the client expects a ServerHello, an alert says most.
            try? await stream.write(TLSAlert.internalError.record)
            await stream.closeGently(within: .seconds(1))
        }
    }

    /// `Proxy-Authorization`, as RFC 9110, section 11.7.2, has it, or `Authorization`, which some clients can set only.
    private static func credential(_ head: RequestHead) throws(HTTPRefusal) -> String? {
        do throws(LegRefusal) {
            let proxy = try BearerCredential.read(head, field: "proxy-authorization")
            let direct = try BearerCredential.read(head, field: "authorization")
            guard proxy == nil || direct == nil else { throw LegRefusal(.malformed, "an API key is given twice") }
            return proxy ?? direct
        } catch {
            throw HTTPRefusal(error.message)
        }
    }
}
