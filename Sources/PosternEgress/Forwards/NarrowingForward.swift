import NIOCore
import PosternPolicy
import Synchronization

/// A forward whose bounds become smaller while it is served. Connections that began under wider bounds end; new ones have the present bounds.
final class NarrowingForward: ForwardServer.Handler {
    private struct State {
        /// `nil` once the policy has the forward no more.
        var handler: (any ForwardServer.Handler)?
        var next = 1
        /// The connections of the present handler.
        var channels: [Int: any Channel] = [:]
    }
    let forward: Forward
    private let make: @Sendable (Forward) throws -> (any ForwardServer.Handler)?
    private let state: Mutex<State>

    init(_ forward: Forward, make: @escaping @Sendable (Forward) throws -> (any ForwardServer.Handler)?) throws {
        self.forward = forward
        self.make = make
        state = Mutex(State(handler: try make(forward)))
    }

    func serve(_ channel: any Channel, connection: Int) async {
        let (handler, id) = state.withLock { state in
            let id = state.next
            state.next += 1
            if state.handler != nil { state.channels[id] = channel }
            return (state.handler, id)
        }
        guard let handler else { return channel.close(promise: nil) }
        await handler.serve(channel, connection: connection)
        state.withLock { _ = $0.channels.removeValue(forKey: id) }
    }

    /// Holds from now on. `false` where both have nothing in common: the forward serves no connection any more.
    func narrow(to other: Forward) -> Bool {
        let (isServed, cut) = state.withLock { state -> (Bool, [any Channel]) in
            guard let present = state.handler?.forward else { return (false, []) }
            let both = present.narrowed(by: other)
            if both == present { return (true, []) }
            // What cannot be set up under the smaller bounds is not served under the wider ones.
            state.handler = both.flatMap { try? make($0) }
            defer { state.channels = [:] }
            return (state.handler != nil, Array(state.channels.values))
        }
        for channel in cut { channel.close(promise: nil) }
        return isServed
    }
}
