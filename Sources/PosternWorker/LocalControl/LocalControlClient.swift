import Dispatch
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Asks the worker whose state folder is given. It is on the same machine and needs neither a key nor a control plane.
package struct LocalControlClient: Sendable {
    private let folder: String
    private static let queue = DispatchQueue(label: "postern.worker.control-client")

    package init(stateFolder: String) { folder = stateFolder }

    package func ask(_ request: LocalControlRequest) async throws(LocalControlError) -> LocalControlReply {
        let folder = folder
        let result: Result<LocalControlReply, LocalControlError> = await withCheckedContinuation { done in
            Self.queue.async {
                do throws(LocalControlError) {
                    done.resume(returning: .success(try Self.exchange(request, folder)))
                } catch {
                    done.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    private static func exchange(_ request: LocalControlRequest, _ folder: String) throws(LocalControlError) -> LocalControlReply {
        let socket = try LocalControlSocket.connect(in: folder)
        defer { close(socket) }
        LocalControlSocket.setPatience(socket, seconds: 30)
        // A socket that somebody else has put there is not believed.
        guard LocalControlSocket.isTrustedByRoot(socket) else { throw LocalControlError("the control socket in '\(folder)' is another user's") }
        guard LocalControlSocket.send(LocalControlLine.encoded(request.json), socket),
            let answer = try LocalControlSocket.receive(socket, limit: LocalControlLine.replyLimit)
        else { throw LocalControlError("the worker closed its control socket without an answer; it accepts its own user and root only") }
        return try LocalControlReply(json: answer)
    }
}
