import FoundationEssentials
import NIOCore
import NIOSSL
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// The way in to a route whose callers show no certificate: TLS without one, and a first request whose token says who calls. Nothing of a request goes
/// further before that.
extension CallServer {
    /// A connection whose first request has been read and whose caller is known.
    struct Opened: Sendable {
        var connection: LiveConnection
        var opening: InnerConnection.Opening?
    }

    /// `nil` where the request was answered here. What is refused after the handshake has been answered too.
    func admit(
        _ stream: ByteStream, _ hello: ByteBuffer, _ host: TunnelHost, _ verifier: BearerVerifier, _ snapshot: ConnectorSnapshot
    ) async throws(CallError) -> Opened? {
        let most = snapshot.routes[host.route]?.route.limits.concurrency ?? 0
        // Nobody has said yet who they are: all of them share one bound.
        let place = live.enterUnproved(host.route, stream, most: most)
        // One time for all of it: TLS, the head of a request, and what its token waits for.
        let end = stream.channel.eventLoop.scheduleTask(in: times.handshake) { stream.abort() }
        defer {
            end.cancel()
            live.leaveUnproved(host.route, place)
        }
        do {
            let inner = snapshot.open
            _ = try await stream.startTLS(replay: hello, within: times.handshake) { NIOSSLServerHandler(context: inner) }
        } catch {
            throw Self.failure(error)
        }
        do throws(CallError) {
            return try await opened(stream, host, verifier, snapshot)
        } catch {
            await answer(error, hasLeft: false, host: host, to: stream)
            throw error
        }
    }

    private func opened(
        _ stream: ByteStream, _ host: TunnelHost, _ verifier: BearerVerifier, _ snapshot: ConnectorSnapshot
    ) async throws(CallError) -> Opened? {
        var reader = MessageReader(stream)
        let head: RequestHead
        do {
            guard let lines = try await reader.head(idle: times.handshake, whole: times.handshake) else {
                throw CallError.callerGone("before its first request")
            }
            head = try RequestHead(lines: lines)
        } catch {
            throw CallError(reading: error)
        }
        if try await tells(head, host, verifier, to: stream) { return nil }
        let (token, caller) = try await token(of: head, verifier)
        let connection = LiveConnection(
            route: host.route, identity: caller.identity(snapshot.configuration.tunnel), proof: .token(token, ends: caller.ends),
            server: snapshot.material.serverFingerprint, stream: stream,
            number: snapshot.number)
        return Opened(connection: connection, opening: .init(reader: reader, head: head))
    }

    /// Answers a question for the route's metadata. Whether it was one.
    func tells(_ head: RequestHead, _ host: TunnelHost, _ verifier: BearerVerifier, to stream: ByteStream) async throws(CallError) -> Bool {
        let metadata: [UInt8]?
        do throws(HTTPRefusal) { metadata = try BearerChallenge.metadata(head, host: host, verifier.settings) } catch { throw .request(error) }
        guard let metadata else { return false }
        do { try await WriteWatch.write(ByteBuffer(bytes: metadata), to: stream, within: times.handshake) } catch { throw .callerGone("\(error)") }
        return true
    }

    /// Whose request it is.
    func token(of head: RequestHead, _ verifier: BearerVerifier) async throws(CallError) -> (BearerToken, BearerToken.Caller) {
        do throws(BearerRefusal) {
            let token = try BearerToken(try BearerVerifier.token(in: head))
            return (token, try await verifier.check(token, now: now))
        } catch {
            throw .bearer(error)
        }
    }
}
