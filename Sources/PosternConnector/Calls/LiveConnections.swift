import FoundationEssentials
import PosternTunnelLink
import Synchronization

/// All inner connections that stand.
final class LiveConnections: Sendable {
    private struct State {
        var next = 0
        var all: [Int: LiveConnection] = [:]
        /// How many there are of one caller on one route.
        var counts: [Owner: Int] = [:]
        /// Connections to a route whose callers have not said who they are.
        var unproved: [String: [Unproved]] = [:]
    }
    private struct Unproved {
        var id: Int
        var stream: ByteStream
    }
    private struct Owner: Hashable {
        var route: String
        var caller: CallerSubject
    }
    private let state = Mutex(State())

    /// Takes a connection in. Throws where its caller has `most` of them on the route already, with calls on them or without.
    func enter(_ connection: LiveConnection, _ caller: CallerSubject, most: Int) throws(CallError) -> Int {
        let owner = Owner(route: connection.route, caller: caller)
        let id = state.withLock { state -> Int? in
            guard state.counts[owner, default: 0] < most else { return nil }
            state.counts[owner, default: 0] += 1
            state.next += 1
            state.all[state.next] = connection
            return state.next
        }
        guard let id else { throw .callerBusy(most) }
        return id
    }

    func leave(_ id: Int, _ caller: CallerSubject) {
        state.withLock { state in
            guard let connection = state.all.removeValue(forKey: id) else { return }
            let owner = Owner(route: connection.route, caller: caller)
            if let count = state.counts[owner] { state.counts[owner] = count > 1 ? count - 1 : nil }
        }
    }

    /// A connection whose caller is not known yet; its place is to be given back. Where there are `most` of them the one that has waited longest is ended, so
    /// that who waits for nothing keeps nobody out who is quick.
    func enterUnproved(_ route: String, _ stream: ByteStream, most: Int) -> Int {
        let (id, oldest) = state.withLock { state -> (Int, ByteStream?) in
            state.next += 1
            var waiting = state.unproved[route] ?? []
            let oldest = waiting.count >= max(1, most) ? waiting.removeFirst().stream : nil
            waiting.append(Unproved(id: state.next, stream: stream))
            state.unproved[route] = waiting
            return (state.next, oldest)
        }
        oldest?.abort()
        return id
    }

    func leaveUnproved(_ route: String, _ id: Int) {
        state.withLock { state in
            state.unproved[route]?.removeAll { $0.id == id }
            if state.unproved[route]?.isEmpty == true { state.unproved[route] = nil }
        }
    }

    /// Lets the call `id` go on that runs on a connection of the very same caller and route. Whether there is one.
    func renew(_ id: String, by connection: LiveConnection, now: Date) -> Bool {
        state.withLock { Array($0.all.values) }.contains { $0.renew(id, by: connection, now: now) }
    }

    /// Connections that stand on a server certificate.
    func count(ofServer fingerprint: String) -> Int { state.withLock { $0.all.values.count { $0.server == fingerprint } } }

    /// Cuts what stands on server certificates of which that is so. Gives how many.
    func cut(_ cause: CallError.Cut, whereServer isGone: (String) -> Bool) -> Int {
        let all = state.withLock { Array($0.all.values) }
        let gone = Set(all.map(\.server)).filter(isGone)
        let cut = all.filter { gone.contains($0.server) }
        for connection in cut { connection.cut(cause) }
        return cut.count
    }

    /// Cuts what `snapshot` does not let go on. Gives how many.
    func cut(under snapshot: ConnectorSnapshot, now: Date) -> Int {
        let all = state.withLock { Array($0.all.values) }
        var count = 0
        for connection in all {
            guard let cause = connection.refusal(under: snapshot, now: now) else { continue }
            connection.cut(cause)
            count += 1
        }
        return count
    }
}
