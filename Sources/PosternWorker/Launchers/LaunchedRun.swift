import PosternSandbox

/// What a launcher's script runs of one session on this machine, as far as freezing goes. Nothing is launched while the session is frozen.
actor LaunchedRun: FreezableSession {
    private var isFrozen = false
    private var launching: Task<Result<ScriptProcess, ScriptProcess.StartFailure>, Never>?
    private var script: ScriptProcess?
    /// Whom to tell that what was held may be launched.
    private var released: (@Sendable () -> Void)?

    /// What is not dead by then is said to survive.
    private static let killPatience = Duration.seconds(5)

    /// Launches, unless the session is frozen: then `held` is called before this returns, and `released` when it is not any more.
    /// - Returns: `nil` when it is held.
    func launch(
        held: @Sendable () -> Void, released: @escaping @Sendable () -> Void,
        _ start: @escaping @Sendable () async -> Result<ScriptProcess, ScriptProcess.StartFailure>
    ) async -> Result<ScriptProcess, ScriptProcess.StartFailure>? {
        guard !isFrozen else {
            self.released = released
            held()
            return nil
        }
        let task = Task { await start() }
        launching = task
        let result = await task.value
        launching = nil
        guard case .success(let started) = result else { return result }
        script = started
        // Who wanted it to stand may not have waited for it.
        if isFrozen { _ = await stop() }
        return result
    }

    /// Also what the script has started where this worker has no hand: nobody here can tell.
    var mayRunElsewhere: Bool { script != nil }

    /// Whether the script can hear a request to end.
    var hears: Bool { !isFrozen }

    func freeze() async throws(SandboxError) -> Int {
        isFrozen = true
        if let launching, case .success(let started) = await launching.value { script = started }
        let count = try await script?.freeze() ?? 0
        // Thawed meanwhile.
        if !isFrozen { await script?.thaw() }
        return count
    }

    func thaw() async throws(SandboxError) {
        isFrozen = false
        released?()
        released = nil
        await script?.thaw()
        // Frozen again meanwhile.
        if isFrozen { _ = await stop() }
    }

    func kill() async -> ProcessTally {
        guard let script else { return ProcessTally() }
        let before = await script.count
        await script.kill()
        let deadline = ContinuousClock.now + Self.killPatience
        var after = await script.count
        while after > 0, ContinuousClock.now < deadline {
            // Told to die, they need their turn for it.
            try? await Task.sleep(for: .milliseconds(10))
            after = await script.count
        }
        return ProcessTally(killed: max(0, before - after), survivors: after)
    }

    private func stop() async {
        do { _ = try await script?.freeze() } catch { await script?.kill() }
    }
}
