import Dispatch
import Logging
import PosternJSON
import ServiceLifecycle

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Serves the worker's control socket: one request and one answer a connection, from this user or root only; who follows gets lines after the
/// answer. Reading and writing happen on a queue of its own; a slow or silent peer holds up nobody.
package struct LocalControlServer: Service {
    private let folder: String
    private let sessions: LiveSessions
    private let decisions: DecisionFeed
    private let logger: Logger

    private static let queue = DispatchQueue(label: "postern.worker.control", attributes: .concurrent)
    /// Connections at one time; more are closed at once.
    private static let most = 16
    private static let patienceSeconds = 5

    package init(stateFolder: String, sessions: LiveSessions, decisions: DecisionFeed = DecisionFeed(), logger: Logger) {
        folder = stateFolder
        self.decisions = decisions
        self.sessions = sessions
        self.logger = logger
    }

    /// Returns when the task is cancelled or the service group shuts down. A worker without its control socket works; it says so.
    package func run() async throws {
        let listener: Int32
        do throws(LocalControlError) {
            listener = try LocalControlSocket.listen(in: folder)
        } catch {
            logger.error("\(error); this worker can be frozen by its end only")
            try? await gracefulShutdown()
            return
        }
        logger.debug("the control socket is there")
        let (connections, feed) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(Self.most))
        let source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: Self.queue)
        source.setEventHandler {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                if case .dropped(let old) = feed.yield(connection) { close(old) }
            }
        }
        source.setCancelHandler { close(listener) }
        source.activate()
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                for await connection in connections { group.addTask { await serve(connection) } }
            }
        }
        source.cancel()
        feed.finish()
    }

    private func serve(_ connection: Int32) async {
        defer { close(connection) }
        guard let peer = await peer(connection) else {
            logger.warning("another user's connection to the control socket is refused")
            return
        }
        let reply: LocalControlReply
        switch await receive(connection) {
        case .success(nil): return
        case .success(.egress(let session, let learns)):
            if await follow(connection, session, learns) { return }
            var refusal = LocalControlReply()
            refusal.error = "\(DecisionFeed.most) follow already, and no more can"
            reply = refusal
        case .success(.some(let request)): reply = await sessions.handle(request, by: peer)
        case .failure(let error):
            var refusal = LocalControlReply()
            refusal.error = error.description
            reply = refusal
        }
        await send(reply, connection)
    }

    /// `false` when there are too many followers.
    private func follow(_ connection: Int32, _ session: String?, _ learns: Bool) async -> Bool {
        let isDone: Void? = await decisions.following(session: session, learns: learns) { follower in
            await send(LocalControlReply(), connection)
            await FollowerSocket(connection: connection, follower: follower, queue: Self.queue).run()
        }
        return isDone != nil
    }

    private func send(_ reply: LocalControlReply, _ connection: Int32) async {
        let bytes = LocalControlLine.encoded(reply.json)
        await withCheckedContinuation { done in
            Self.queue.async {
                LocalControlSocket.send(bytes, connection)
                done.resume()
            }
        }
    }

    private func peer(_ connection: Int32) async -> LocalControlPeer? {
        await withCheckedContinuation { done in
            Self.queue.async { done.resume(returning: LocalControlSocket.trustedPeer(connection)) }
        }
    }

    private func receive(_ connection: Int32) async -> Result<LocalControlRequest?, LocalControlError> {
        await withCheckedContinuation { done in
            Self.queue.async {
                _ = fcntl(connection, F_SETFL, 0)
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                LocalControlSocket.setPatience(connection, seconds: Self.patienceSeconds)
                do throws(LocalControlError) {
                    let message = try LocalControlSocket.receive(connection, limit: LocalControlLine.requestLimit)
                    guard let message else {
                        done.resume(returning: .success(nil))
                        return
                    }
                    done.resume(returning: .success(try LocalControlRequest(json: message)))
                } catch {
                    done.resume(returning: .failure(error))
                }
            }
        }
    }
}
