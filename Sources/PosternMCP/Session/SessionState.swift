/// The connection to a server as its requests see it: closed, or open in some generation. A value without I/O.
///
/// In the handshake era over HTTP a server may end a session at any time; it answers 404 then, and a client must begin a new one (transports,
/// "Session management"). Many requests may learn of that at once: the generation tells those that are late from those that are first.
package struct SessionState: Sendable, Equatable {
    /// An open connection, and which one of those that there were.
    package struct Open: Sendable, Equatable {
        package var server: ServerDescription
        package var generation: Int
    }

    /// What a request does that has failed.
    package enum Verdict: Sendable, Equatable {
        /// Open the connection again where that has not happened yet, and send the request once more: it was not carried out.
        case again
        case fail
    }

    package private(set) var open: Open?
    private var generation = 0

    package init() {}

    package mutating func opened(_ server: ServerDescription) -> Open {
        generation += 1
        let value = Open(server: server, generation: generation)
        open = value
        return value
    }

    /// Takes the failure of a request that was sent in `generation`. Only a lost session is tried again, and only once.
    package mutating func failed(_ error: MCPError, generation: Int, isSecondTry: Bool) -> Verdict {
        switch error {
        case .sessionLost:
            if open?.generation == generation { open = nil }
            return isSecondTry ? .fail : .again
        // The server speaks another revision than before: the next request finds out which.
        case .server(let answer) where answer.code == RPCError.unsupportedRevision:
            if open?.generation == generation { open = nil }
            return isSecondTry ? .fail : .again
        case .ended, .unreachable:
            if open?.generation == generation, open?.server.sessionID == nil { open = nil }
            return .fail
        default: return .fail
        }
    }

    package mutating func close() { open = nil }
}
