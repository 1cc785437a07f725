import PosternJSON

/// What a session has left in its workspace that is dangerous to whoever reads it outside: programs that would be run, links that lead
/// away, files that are not files.
package struct WorkspaceScanReport: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        /// A link whose target is, or may be, outside the workspace.
        case linkOut = "link_out"
        case setID = "set_id"
        case device
        case socket
        case fifo
        /// A program that git runs by itself.
        case gitHook = "git_hook"
        /// A setting by which git runs a program or reads another place.
        case gitConfiguration = "git_configuration"
        /// Settings of agents, editors and shells that run things or steer an agent.
        case agentConfiguration = "agent_configuration"
        /// A name with control characters, or that is not UTF-8.
        case unsafeName = "unsafe_name"
        /// A folder that could not be looked into.
        case unseen
    }

    package struct Finding: Sendable, Hashable {
        package var kind: Kind
        /// Below the workspace, made printable.
        package var path: String
        /// The link's target, the setting's name; printable, at most 200 characters.
        package var detail: String

        package init(_ kind: Kind, _ path: String, _ detail: String = "") {
            self.kind = kind
            self.path = path
            self.detail = String(detail.prefix(200))
        }
    }

    /// At most `mostFindings`; `counts` goes on.
    package private(set) var findings: [Finding] = []
    package private(set) var counts: [Kind: Int] = [:]
    /// Files and folders looked at.
    package var entries = 0
    /// `false` when a bound ended the scan early, or a folder could not be read.
    package var isComplete = true

    package static let mostFindings = 500

    package init() {}

    package mutating func add(_ finding: Finding) {
        counts[finding.kind, default: 0] += 1
        if finding.kind == .unseen { isComplete = false }
        if findings.count < Self.mostFindings { findings.append(finding) }
    }

    package var json: JSON {
        [
            "entries": JSON(entries), "complete": .bool(isComplete),
            "counts": .object(JSONObject(Kind.allCases.compactMap { kind in counts[kind].map { (kind.rawValue, JSON($0)) } })),
            "findings": .array(findings.map { ["kind": .string($0.kind.rawValue), "path": .string($0.path), "detail": .string($0.detail)] }),
        ]
    }

    package init(json: JSON) {
        entries = json["entries"]?.int ?? 0
        isComplete = json["complete"]?.bool ?? false
        for kind in Kind.allCases { counts[kind] = json["counts"]?[kind.rawValue]?.int }
        findings = (json["findings"]?.array ?? []).compactMap { finding in
            guard let kind = finding["kind"]?.string.flatMap(Kind.init(rawValue:)), let path = finding["path"]?.string else { return nil }
            return Finding(kind, path, finding["detail"]?.string ?? "")
        }
    }
}
