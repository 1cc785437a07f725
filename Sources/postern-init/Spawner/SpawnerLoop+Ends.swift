import Glibc
import PosternJSON
import PosternSandboxWire

extension SpawnerLoop {
    /// Something is on its way that no descriptor reports: the loop looks again in a millisecond.
    var isWaitingForKernel: Bool {
        sandboxes.contains { $0.freeze.isWaiting || ($0.status != nil && $0.sweep == nil) || ($0.isKilled && $0.status == nil) }
    }

    // MARK: Freeze

    /// `request` is answered when it is so; the loop looks once for all that have come together.
    func setFrozen(_ request: Int, _ body: JSON) {
        guard let index = sandboxes.firstIndex(where: { $0.id == body["sandbox"]?.int }) else {
            // What has ended stands still.
            answerFrozen([request], error: body["type"] == "freeze" ? nil : "the sandbox has ended", processes: 0)
            return
        }
        perform(sandboxes[index].freeze.handle(body["type"] == "freeze" ? .freeze(request: request) : .thaw(request: request)), index)
    }

    private func perform(_ actions: [FreezeMachine.Action], _ index: Int) {
        for action in actions {
            switch action {
            case .set(let frozen):
                // Without a freezer the signals are sent while observing.
                _ = sandboxes[index].group.setFrozen(frozen)
            case .answer(let requests): answerFrozen(requests, error: nil, processes: processCount(index))
            case .refuse(let requests, let reason): answerFrozen(requests, error: reason, processes: 0)
            }
        }
    }

    private func answerFrozen(_ requests: [Int], error: String?, processes: Int) {
        for request in requests {
            control.send(["type": "settled", "id": JSON(request), "error": JSON(error), "processes": JSON(processes)])
        }
    }

    /// `request` is answered with the number of processes that a sandbox has now; none of one that has ended.
    func countProcesses(_ request: Int, _ body: JSON) {
        let index = sandboxes.firstIndex { $0.id == body["sandbox"]?.int }
        answerFrozen([request], error: nil, processes: index.map(processCount) ?? 0)
    }

    /// By the kernel's list of its control group, else all that descend from the process that was started, which is one of them.
    private func processCount(_ index: Int) -> Int {
        let sandbox = sandboxes[index]
        return sandbox.group.processCount ?? (sandbox.status == nil ? 1 + Descendants.list(below: sandbox.pid).count : 0)
    }

    // MARK: Observation

    /// Looks at what the kernel does not report: whether frozen processes stand still, and whether the last process is gone.
    func observe() {
        // Once for all that settle: a look at every child for each of them would make the end of many take as long as their number squared.
        if sandboxes.contains(where: { $0.status != nil && $0.sweep == nil }) { killStrays() }
        for index in sandboxes.indices.reversed() {
            let sandbox = sandboxes[index]
            if sandbox.status == nil {
                if sandbox.isKilled, isKillDue(index) { killAgain(index) }
                if sandbox.freeze.isWaiting { perform(sandboxes[index].freeze.handle(.observed(isFrozen: isFrozen(index))), index) }
            } else if sandbox.sweep == nil {
                settle(index)
            }
        }
    }

    private func isFrozen(_ index: Int) -> Bool {
        if let isFrozen = sandboxes[index].group.isFrozen { return isFrozen }
        let pid = sandboxes[index].pid
        if sandboxes[index].freeze.isToBeFrozen { return sandboxes[index].stopped.stop(pid) }
        sandboxes[index].stopped.resume(pid)
        return false
    }

    // MARK: Kill

    func killSandbox(_ id: Int) {
        guard let index = sandboxes.firstIndex(where: { $0.id == id }) else {
            control.send(["type": "exited", "id": JSON(id)])
            return
        }
        sandboxes[index].isKilled = true
        killAgain(index)
    }

    /// What the kernel kills as a whole, a group or a namespace, dies of one kill: repeating it each millisecond for hundreds would only hold up
    /// their deaths, so it is done at looks 1, 2, 4, … and every 64th. Without either, what forks at that moment may slip through at each look.
    private func isKillDue(_ index: Int) -> Bool {
        sandboxes[index].looksSinceKill += 1
        let looks = sandboxes[index].looksSinceKill
        return !sandboxes[index].isConfined || looks % 64 == 0 || looks & (looks - 1) == 0
    }

    /// Kills all there is. Repeated until all is gone.
    private func killAgain(_ index: Int) {
        let sandbox = sandboxes[index]
        if sandbox.group.killAll() { return }
        if sandbox.isConfined {
            // Killing process 1 takes the whole namespace with it, and bubblewrap reports its end after that. Were bubblewrap killed itself,
            // nobody would know when the last process is gone.
            let first = Descendants.children(of: sandbox.pid)
            for pid in first.isEmpty ? [sandbox.pid] : first { kill(pid, SIGKILL) }
        } else {
            Descendants.kill(below: sandbox.pid)
            kill(sandbox.pid, SIGKILL)
        }
        // A frozen process of version 1 dies when it is thawed.
        if sandbox.freeze.isToBeFrozen { _ = sandbox.group.setFrozen(false) }
        if sandbox.group.isFrozen == nil { kill(sandbox.pid, SIGCONT) }
    }

    /// The process that was started has ended: makes sure that nothing else is left, in the group or of the user, and says so then.
    private func settle(_ index: Int) {
        let sandbox = sandboxes[index]
        if sandbox.group.isPopulated {
            if !sandbox.group.killAll() { sandbox.group.killEach() }
            return
        }
        // A user outside the range is somebody's own, whose processes are none of ours.
        guard let users, let sweep = users.sweep(sandbox.heldUser) else { return finish(index, isClean: users == nil) }
        sandboxes[index].sweep = sweep
    }

    /// Who has outlived the process that was to wait for it comes to this one, and is of no sandbox that runs: those wait for their own.
    private func killStrays() {
        // Every process that this one starts is in one of these.
        let known = Set(sandboxes.map(\.pid) + sandboxes.compactMap(\.sweep) + folderJobs.keys + proxies.keys + proxySweeps.keys)
        for pid in Descendants.children(of: getpid()) where !known.contains(pid) {
            Descendants.kill(below: pid)
            kill(pid, SIGKILL)
        }
    }

    func swept(_ index: Int, isClean: Bool) { finish(index, isClean: isClean) }

    private func finish(_ index: Int, isClean: Bool) {
        var sandbox = sandboxes.remove(at: index)
        sandbox.group.remove()
        for action in sandbox.freeze.handle(.ended) {
            switch action {
            case .answer(let requests): answerFrozen(requests, error: nil, processes: 0)
            case .refuse(let requests, let reason): answerFrozen(requests, error: reason, processes: 0)
            case .set: break
            }
        }
        // Without mounts a session may have left files of its user anywhere: that one is kept.
        if sandbox.isConfined { users?.giveBack(sandbox.heldUser, isSwept: isClean) }
        if sandbox.changes >= 0 {
            // Before it is said that the sandbox has ended: who hears that may lock them. A folder job that was forked meanwhile may still
            // have the file open.
            flock(sandbox.changes, LOCK_UN)
            close(sandbox.changes)
        }
        control.send([
            "type": "exited", "id": JSON(sandbox.id), "status": JSON(Int(sandbox.status ?? -1)), "errors": .string(text(of: sandbox.errors)),
            "clean": .bool(isClean),
        ])
        close(sandbox.errors)
    }

    /// What bubblewrap and `postern-init` said before they failed.
    private func text(of errors: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 2048)
        let count = bytes.withUnsafeMutableBytes { pread(errors, $0.baseAddress, $0.count, 0) }
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }

    /// The worker is gone, and so is every sandbox: their groups are emptied here, and what cannot be is left to the next spawner.
    func end() {
        groups.remove()
        run.remove()
    }
}
