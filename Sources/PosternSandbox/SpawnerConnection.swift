import Glibc
import PosternJSON
import PosternSandboxWire
import Synchronization

/// What the reactor's thread talks to; holds no reference back to the spawner.
final class SpawnerConnection: Sendable {
    /// How a sandbox ended.
    struct Exit: Sendable {
        var status: Int
        /// What it said before.
        var errors: String
        /// The kernel counts no process of it any more.
        var isClean: Bool
    }

    private struct State {
        var nextID = 1
        var replies: [Int: OneValue<Result<ControlMessage, SandboxError>>] = [:]
        var exits: [Int: OneValue<Exit>] = [:]
        var end: String?
    }

    let channel = OneValue<ControlChannel>()
    let greeting = OneValue<Result<JSON, SandboxError>>()
    private let state = Mutex(State())

    /// - Parameter exit: of a start: where the end of the sandbox will be told.
    func request(
        _ body: JSONObject, descriptors: [Int32], exit: OneValue<Exit>? = nil
    ) async throws(SandboxError) -> ControlMessage {
        let reply = OneValue<Result<ControlMessage, SandboxError>>()
        var body = body
        let id = state.withLock { state -> Int in
            defer { state.nextID += 1 }
            state.replies[state.nextID] = reply
            state.exits[state.nextID] = exit
            if let end = state.end { reply.set(.failure(SandboxError(.lost, end))) }
            return state.nextID
        }
        body["id"] = JSON(id)
        channel.current?.send(.object(body), descriptors: descriptors)
        return try await reply.get().get()
    }

    /// The end of sandbox `id`; of one that is not known any more, at once.
    func exit(of id: Int) -> OneValue<Exit> {
        state.withLock { state in
            if let exit = state.exits[id] { return exit }
            let gone = OneValue<Exit>()
            gone.set(Exit(status: -1, errors: "", isClean: true))
            return gone
        }
    }

    func received(_ message: ControlMessage) {
        let body = message.body
        let id = body["id"]?.int ?? 0
        switch body["type"]?.string {
        case "hello", "broken": greeting.set(.success(body))
        case "started", "done", "settled":
            if let reply = state.withLock({ $0.replies.removeValue(forKey: id) }) {
                // The message's descriptors are the asker's now.
                reply.set(.success(message))
                return
            }
        case "failed":
            let (reply, exit) = state.withLock { ($0.replies.removeValue(forKey: id), $0.exits.removeValue(forKey: id)) }
            reply?.set(.failure(SandboxError(.startFailed, body["reason"]?.string ?? "unknown")))
            exit?.set(Exit(status: -1, errors: "", isClean: true))
        case "exited":
            let exit = Exit(status: body["status"]?.int ?? -1, errors: body["errors"]?.string ?? "", isClean: body["clean"]?.bool ?? false)
            state.withLock { $0.exits.removeValue(forKey: id) }?.set(exit)
        default: break
        }
        for descriptor in message.descriptors { Glibc.close(descriptor) }
    }

    func ended(_ reason: String) {
        let (replies, exits) = state.withLock { state in
            state.end = reason
            defer {
                state.replies = [:]
                state.exits = [:]
            }
            return (Array(state.replies.values), Array(state.exits.values))
        }
        greeting.set(.failure(SandboxError(.unavailable, reason)))
        for reply in replies { reply.set(.failure(SandboxError(.lost, reason))) }
        for exit in exits { exit.set(Exit(status: -1, errors: reason, isClean: false)) }
    }
}
