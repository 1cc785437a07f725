import PosternGate
import PosternPolicy
import PosternSandbox
import PosternSandboxWire

/// What the parts that enforce a policy take from it.
extension Policy {
    package var sandboxLimits: SandboxLimits { SandboxLimits(json: limits.wireJSON) }

    /// Files and folders of the host, at the same place inside, each with what is masked in it.
    func binds(_ denials: MandatoryDenials) -> [SandboxBind] {
        files.binds(denials).map { bind in
            SandboxBind(
                hostPath: bind.path.description, isWritable: bind.isWritable, hidden: bind.masks.hidden, protected: bind.masks.protected)
        }
    }

    /// Patterns of what is masked in the workspace.
    func workspaceMasks(_ denials: MandatoryDenials) -> (hidden: [String], protected: [String]) {
        let masks = files.masks(ofWorkspace: denials)
        return (masks.hidden, masks.protected)
    }

    var workspaceMode: PosternSandboxWire.WorkspaceMode {
        switch workspace {
        case .ro: .readOnly
        case .cow: .copyOnWrite
        case .rw: .readWrite
        }
    }

    /// What every sandbox of this policy has in common, for the self-test.
    package func sandboxShape(_ denials: MandatoryDenials) -> SandboxShape {
        var shape = SandboxShape()
        shape.workspaceMode = workspaceMode
        shape.binds = binds(denials)
        (shape.hidden, shape.protected) = workspaceMasks(denials)
        shape.limits = sandboxLimits
        if hasNetwork { shape.listeners = EgressPlan(policy: self).listeners.map(\.socket) }
        return shape
    }

    var gateLimits: ResultGate.Limits {
        var limits = ResultGate.Limits()
        if let result = resultBudgets.result { limits.maximumEventBytes = min(limits.maximumEventBytes, result) }
        limits.sessionBudget = resultBudgets.session
        limits.dayBudget = resultBudgets.day
        return limits
    }

    /// Whether anything may leave the sandbox over a network.
    var hasNetwork: Bool { network.rules.contains { $0.verdict == .allow } || !forwards.isEmpty }

    /// Whether a running sandbox that was started under `other` still is what this policy wants.
    func hasSameSandbox(as other: Policy) -> Bool {
        files == other.files && workspace == other.workspace && limits == other.limits && variables == other.variables
            && hasNetwork == other.hasNetwork
    }
}

extension SandboxSpec {
    /// Takes on what `policy` says of files and the workspace.
    /// - Parameter changes: folder that keeps what a copy-on-write workspace changes.
    package mutating func take(_ policy: Policy, _ denials: MandatoryDenials, changes: String) {
        workspaceMode = policy.workspaceMode
        if workspaceMode == .copyOnWrite { self.changes = changes }
        binds = policy.binds(denials)
        (hidden, protected) = policy.workspaceMasks(denials)
    }
}

extension RedactionRules {
    /// The rules of a policy. A detector that this gate does not have is refused, so that no policy says more than happens.
    ///
    /// - Returns: `nil` where nothing is looked for at that door.
    init?(_ settings: RedactionSettings, at door: RedactionSettings.Door, words: @Sendable (String) async throws -> [String]) async throws {
        guard settings.doors.contains(door) else { return nil }
        try await self.init(settings, words: words)
    }

    /// - Parameter words: Reads a dictionary's file, one word a line.
    private init(_ settings: RedactionSettings, words: @Sendable (String) async throws -> [String]) async throws {
        self.init()
        for (name, action) in settings.detectors {
            guard let detector = RedactionDetector(rawValue: name) else {
                throw RedactionError(
                    name: name, reason: "there is no such detector; there are \(RedactionDetector.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            detectors[detector] = RedactionAction(action)
        }
        patterns = settings.patterns.map { NamedPattern(name: $0.name, pattern: $0.pattern, action: RedactionAction($0.action)) }
        for dictionary in settings.dictionaries {
            dictionaries.append(
                Dictionary(name: dictionary.name, words: try await words(dictionary.file), action: RedactionAction(dictionary.action)))
        }
    }
}

extension RedactionAction {
    fileprivate init(_ action: RedactionSettings.Action) {
        switch action {
        case .allow: self = .allow
        case .hash: self = .hash
        case .mask: self = .mask
        case .block: self = .block
        }
    }
}
