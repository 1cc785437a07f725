/// Sorts what a stdio server sends: answers go to the requests that wait for them, by id. A value without I/O.
package struct Demultiplexer: Sendable {
    /// What is to be done with a message.
    package enum Action: Sendable, Equatable {
        /// This request is answered.
        case answer(RequestID, JSONRPCMessage)
        /// Hand it to whoever listens.
        case notify(JSONRPCMessage)
        /// Send this back: the server has asked something.
        case reply(JSONRPCMessage)
        /// An answer to a request that is no longer waited for.
        case late(RequestID)
        /// An answer to nothing that was asked.
        case stray
    }

    /// Requests that wait for an answer.
    package private(set) var waiting: Set<RequestID> = []
    /// Requests that were given up, whose answers may still come; their ids are not used again. Bounded, oldest first.
    private var retired: [RequestID] = []
    private static let maximumRetired = 4096

    package init() {}

    /// A request goes out. False where its id is in use, or was given up and may still be answered.
    package mutating func sent(_ id: RequestID) -> Bool {
        guard !retired.contains(id) else { return false }
        return waiting.insert(id).inserted
    }

    /// Nobody waits for this answer any longer.
    package mutating func retire(_ id: RequestID) {
        guard waiting.remove(id) != nil else { return }
        retired.append(id)
        if retired.count > Self.maximumRetired { retired.removeFirst() }
    }

    package mutating func received(_ message: JSONRPCMessage) -> Action {
        switch message {
        case .request(let id, let method, _): return .reply(.reply(to: id, method: method))
        case .notification: return .notify(message)
        case .failure(nil, _): return .stray
        case .response(let id, _), .failure(let id?, _):
            if waiting.remove(id) != nil { return .answer(id, message) }
            if let index = retired.firstIndex(of: id) {
                retired.remove(at: index)
                return .late(id)
            }
            return .stray
        }
    }

    /// The server has ended: these requests get no answer.
    package mutating func ended() -> Set<RequestID> {
        defer { waiting = [] }
        return waiting
    }
}
