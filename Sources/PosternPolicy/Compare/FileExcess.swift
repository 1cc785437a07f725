extension Policy {
    /// Paths with which this policy may do more.
    func fileExcess(over other: Policy) -> [PolicyExcess] {
        let denials = MandatoryDenials()
        return fileTargets(with: other).compactMap { target in
            let mine = files.decide(target, workspace: workspace, denials: denials).access
            let theirs = other.files.decide(target, workspace: other.workspace, denials: denials).access
            let isFreer = mine == .write && theirs == .write && target.isInWorkspace && workspace > other.workspace
            guard mine > theirs || isFreer else { return nil }
            let now = isFreer ? "is written in the mode \(workspace.rawValue), not \(other.workspace.rawValue)" : mine.verb
            return PolicyExcess(area: target.isInWorkspace ? "workspace" : "files", text: "\(target) \(now)")
        }
    }

    private func fileTargets(with other: Policy) -> [FileTarget] {
        let sides = [files, other.files]
        let roots = sides.flatMap { $0.read + $0.write }
        let samples = sides.flatMap { $0.hidden + $0.protected }.map { ($0.scope, PatternSamples.components(of: $0)) }
        var hosts: [[String]] = [[]]
        for root in roots {
            let path = root.components
            hosts += [path, path + ["sample"], path + ["sample", "sample"], path.dropLast() + ["sample"]]
            if !path.isEmpty { hosts.append(path.dropLast()) }
        }
        var workspace: [[String]] = [[], ["sample"], ["sample", "sample"]]
        for (scope, paths) in samples {
            for path in paths {
                let forms = [path, path + ["sample"], path.dropLast()]
                switch scope {
                case .host: hosts += forms
                case .workspace: workspace += forms
                case .everywhere:
                    workspace += forms
                    hosts += roots.flatMap { root in forms.map { root.components + $0 } }
                }
            }
        }
        return Set(hosts).sorted { $0.lexicographicallyPrecedes($1) }.map { .host(HostPath(components: $0)) }
            + Set(workspace).sorted { $0.lexicographicallyPrecedes($1) }.map { .workspace($0) }
    }
}

extension FileTarget: CustomStringConvertible {
    var isInWorkspace: Bool {
        if case .workspace = self { true } else { false }
    }

    package var description: String {
        switch self {
        case .workspace(let components): components.isEmpty ? "the workspace" : "\(components.joined(separator: "/")) in the workspace"
        case .host(let path): "\(path)"
        }
    }
}

extension FileAccess {
    fileprivate var verb: String {
        switch self {
        case .none: "is not there"
        case .read: "can be read"
        case .write: "can be written"
        }
    }
}
