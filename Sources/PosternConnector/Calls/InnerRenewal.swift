import NIOCore
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// A caller that proves itself anew for a call that runs on another connection.
extension InnerConnection {
    /// Whether the request is one, and not for the upstream.
    static func isRenewal(_ head: RequestHead) -> Bool { head.target.elementsEqual(CallRenewal.path.utf8) }

    /// Lets the named call go on until the proof of this connection ends. Whether the connection carries another request.
    func renew(_ head: RequestHead, _ snapshot: ConnectorSnapshot, _ runtime: RouteRuntime) async throws(CallError) -> Bool {
        let id: String
        do throws(HTTPRefusal) {
            try RouteRequest.checkHost(head, host)
            guard head.method == "POST", head.body.isEmpty else { throw HTTPRefusal(405, "\(CallRenewal.path) is asked for with POST and no body") }
            guard let named = CallRenewal.id(in: head.fields) else { throw HTTPRefusal("the header \(CallRenewal.header) names no call") }
            id = named
        } catch {
            throw .request(error)
        }
        // Who may begin no call prolongs none.
        try admits(snapshot, runtime)
        let isFound = server.live.renew(id, by: live, now: server.now())
        // What was put in force meanwhile has looked at that call's former proof.
        let after = server.current()
        if isFound, after.number != snapshot.number { _ = server.live.cut(under: after, now: server.now()) }
        if isFound { server.observe(.renewed(route: host.route)) }
        let status = isFound ? "204 No Content\r\n" : "404 Not Found\r\nContent-Length: 0\r\n"
        let answer = "HTTP/1.1 \(status)Postern-Answer-By: connector\r\n\(head.wantsKeepAlive ? "" : "Connection: close\r\n")\r\n"
        do {
            try await WriteWatch.write(ByteBuffer(string: answer), to: stream, within: runtime.route.limits.take)
        } catch {
            throw .callerGone("\(error)")
        }
        return head.wantsKeepAlive
    }
}
