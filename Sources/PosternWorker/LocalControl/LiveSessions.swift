import PosternAudit
import PosternJSON
import PosternSandbox
import Synchronization

/// A session's sandbox, as far as freezing goes.
package protocol FreezableSession: Sendable {
    /// Returns when every process stands still: how many those are, none where nothing has started yet. What starts later starts frozen.
    func freeze() async throws(SandboxError) -> Int
    func thaw() async throws(SandboxError)
    /// Kills everything, when freezing takes too long, and does not wait for ever.
    func kill() async -> ProcessTally
    /// Something of it may run where this worker has no hand: it is not frozen there, whatever became of its processes here.
    var mayRunElsewhere: Bool { get async }
}

extension FreezableSession {
    package var mayRunElsewhere: Bool { get async { false } }
}

/// The sessions that this worker serves now, and the orders to freeze that stand. It needs no control plane: what it says is done here.
package actor LiveSessions {
    private struct Live {
        var session: String
        var agent: String?
        var sandbox: any FreezableSession
    }

    private let file: String
    private let record: @Sendable (LocalControlRequest, LocalControlReply, LocalControlPeer) async -> Void
    private let desk: ApprovalDesk
    private var orders: FreezeOrders
    private var live: [Int: Live] = [:]
    /// Sessions, and their agents, that were handed to somewhere else and are not known to be over there. Newest last.
    private var elsewhere: [(session: String, agent: String?)] = []
    /// The oldest beyond these are forgotten.
    private static let mostElsewhere = 10_000
    private var next = 0
    private var keeping: Task<String?, Never>?

    /// A freeze that takes longer is made true by killing.
    private let patience: Duration

    /// - Parameters:
    ///   - stateFolder: where the orders are kept, so that a restart does not thaw.
    ///   - patience: what is not frozen by then is killed.
    ///   - record: called after each freeze and thaw, for the audit.
    /// - Throws: when there is a file of orders that cannot be read: what is frozen must not run because of that. Blocks; for start-up.
    package init(
        stateFolder: String, desk: ApprovalDesk = ApprovalDesk(), patience: Duration = .milliseconds(800),
        record: @escaping @Sendable (LocalControlRequest, LocalControlReply, LocalControlPeer) async -> Void = { _, _, _ in }
    ) throws(LocalControlError) {
        file = stateFolder + "/frozen.json"
        self.record = record
        self.desk = desk
        self.patience = patience
        do throws(FileError) {
            let bytes = try SmallFile.read(file)
            guard let bytes else {
                orders = FreezeOrders()
                return
            }
            guard let json = try? JSON(parsing: bytes), let orders = FreezeOrders(json: json) else {
                throw FileError(action: "read", path: file, reason: "it is no list of what is frozen; mend or remove it")
            }
            self.orders = orders
        } catch {
            throw LocalControlError("\(error)")
        }
    }

    /// Takes a session up, frozen if an order covers it. The agent may become known later: see `setAgent`.
    package func add(session: String, agent: String?, _ sandbox: any FreezableSession) async -> Int {
        next += 1
        let id = next
        live[id] = Live(session: session, agent: agent, sandbox: sandbox)
        if orders.order(session: session, agent: agent) != nil { _ = await Self.settle(live[id], isFrozen: true, patience) }
        return id
    }

    package func setAgent(_ id: Int, _ agent: String) async {
        live[id]?.agent = agent
        guard let session = live[id], orders.order(session: session.session, agent: agent) != nil else { return }
        _ = await Self.settle(session, isFrozen: true, patience)
    }

    /// - Parameter isElsewhere: whether the session goes on, or may, where this worker has no hand; `nil` for as before.
    package func remove(_ id: Int, isElsewhere: Bool? = nil) {
        guard let session = live.removeValue(forKey: id), let isElsewhere else { return }
        elsewhere.removeAll { $0.session == session.session }
        guard isElsewhere else { return }
        elsewhere.append((session.session, session.agent))
        if elsewhere.count > Self.mostElsewhere { elsewhere.removeFirst() }
    }

    /// How many of the sessions that are served now an order to freeze covers.
    var frozenCount: Int { live.values.count { orders.order(session: $0.session, agent: $0.agent) != nil } }

    /// Does what is asked and answers when it is so.
    /// - Parameter peer: who asks; this worker's user or root, which the socket has seen to.
    package func handle(_ request: LocalControlRequest, by peer: LocalControlPeer) async -> LocalControlReply {
        let clock = ContinuousClock()
        let start = clock.now
        var reply: LocalControlReply
        switch request {
        case .status, .egress: reply = LocalControlReply()
        case .questions:
            reply = LocalControlReply()
            reply.questions = await desk.waiting
        case .answer(let id, let isAllowed):
            reply = LocalControlReply()
            if await !desk.answer(id, ApprovalAnswer(isAllowed: isAllowed, by: peer.description)) {
                reply.error = "no question \(id) waits; it may have been answered, or its time is up"
            }
        case .freeze(let target):
            guard orders.freeze(target) else {
                var refusal = LocalControlReply()
                refusal.error = "more than \(FreezeOrders.most) orders stand; freeze all, or thaw some"
                refusal.frozen = orders
                return refusal
            }
            // First the processes, then the disk: who asks for a stop wants it now.
            reply = await settle(target, isFrozen: true)
            addOutOfReach(target, to: &reply.sessions)
            reply.error = await keep()
        case .thaw(let target):
            orders.thaw(target)
            reply = LocalControlReply()
            reply.error = await keep()
            if reply.error == nil { reply = await settle(target, isFrozen: false) }
        }
        if request == .status {
            reply.sessions = live.values.map { session in
                LocalControlReply.Session(
                    session: session.session, agent: session.agent, isFrozen: orders.order(session: session.session, agent: session.agent) != nil)
            }
        }
        reply.sessions.sort { $0.session < $1.session }
        reply.frozen = orders
        reply.milliseconds = Int((clock.now - start) / .milliseconds(1))
        switch request {
        case .freeze, .thaw: await record(request, reply, peer)
        case .status, .questions, .answer, .egress: break
        }
        return reply
    }

    private func settle(_ target: FreezeTarget, isFrozen: Bool) async -> LocalControlReply {
        let meant = live.values.filter { target.covers(session: $0.session, agent: $0.agent) }
        var reply = LocalControlReply()
        let (orders, patience) = (orders, patience)
        reply.sessions = await withTaskGroup(of: LocalControlReply.Session.self) { group in
            for session in meant {
                // A wider order keeps what a narrower one lets go.
                let order = orders.order(session: session.session, agent: session.agent)
                group.addTask {
                    guard !isFrozen, let order else { return await Self.settle(session, isFrozen: isFrozen, patience) }
                    return LocalControlReply.Session(
                        session: session.session, agent: session.agent, isFrozen: true, problem: "stays frozen, by the order: \(order)")
                }
            }
            var sessions: [LocalControlReply.Session] = []
            for await session in group { sessions.append(session) }
            return sessions
        }
        return reply
    }

    /// What is meant and is, or may still be, somewhere else.
    private func addOutOfReach(_ target: FreezeTarget, to sessions: inout [LocalControlReply.Session]) {
        for (id, agent) in elsewhere {
            let index = sessions.firstIndex { $0.session == id }
            guard index != nil || target.covers(session: id, agent: agent) else { continue }
            var session = index.map { sessions[$0] } ?? LocalControlReply.Session(session: id, agent: agent, isFrozen: false)
            session.isElsewhere = true
            session.problem = session.problem ?? "was handed over to what the launcher started, which is not reached from here: stop it there"
            if let index { sessions[index] = session } else { sessions.append(session) }
        }
    }

    private static func settle(_ live: Live?, isFrozen: Bool, _ patience: Duration) async -> LocalControlReply.Session {
        guard let live else { return LocalControlReply.Session(session: "", agent: nil, isFrozen: false, problem: "the session is over") }
        var session = LocalControlReply.Session(session: live.session, agent: live.agent, isFrozen: isFrozen)
        guard isFrozen else {
            do throws(SandboxError) {
                try await live.sandbox.thaw()
            } catch {
                session.problem = error.message
            }
            return session
        }
        // In a task of its own: who asks may be gone, and what was begun is done.
        (session.processes, session.wasKilled) = await Task { await Self.stop(live.sandbox, patience) }.value
        session.isElsewhere = await live.sandbox.mayRunElsewhere
        if session.isElsewhere {
            session.problem = "what its launcher's script has started elsewhere is not reached from here: stop it there"
        }
        if session.processes.survivors > 0 { session.problem = "\(session.processes.survivors) processes could not be killed" }
        return session
    }

    /// Freezes, or kills what is not frozen in time.
    private static func stop(_ sandbox: any FreezableSession, _ patience: Duration) async -> (ProcessTally, wasKilled: Bool) {
        let isSettled = Signal()
        let stopped = Mutex<Int?>(nil)
        // Nothing ends this wait but the kernel, which may take for ever.
        Task {
            if let count = try? await sandbox.freeze() { stopped.withLock { $0 = count } }
            isSettled.fire()
        }
        await isSettled.wait(atMost: patience)
        if let count = stopped.withLock({ $0 }) { return (ProcessTally(stopped: count), false) }
        return (await sandbox.kill(), true)
    }

    /// `nil`, or why the orders are not on the disk. One writes at a time, and what it writes are the orders at that moment.
    private func keep() async -> String? {
        let before = keeping
        let task = Task { () async -> String? in
            _ = await before?.value
            return await self.writeOrders()
        }
        keeping = task
        return await task.value
    }

    private func writeOrders() async -> String? {
        let (file, bytes) = (file, orders.json.encoded)
        do {
            try await Blocking.run { () throws(FileError) in try SmallFile.write(bytes, to: file) }
            return nil
        } catch {
            return "it is done, but would not survive a restart: \(error)"
        }
    }
}
