import PosternJSON

/// What a comparison of the two logs of a session came to.
package struct ReconcileReport: Sendable, Equatable {
    package struct Finding: Sendable, Equatable {
        package var call: String
        /// `false` for what a crash, or the control plane's own settling of a call, explains.
        package var isViolation: Bool
        package var what: String
    }

    /// Findings that are listed; further ones are counted.
    static let maximumListed = 1000

    package let session: String
    /// Whether inputs and results were compared, or only that they are there.
    package let comparesContent: Bool
    package internal(set) var calls = 0
    /// Calls of which everything agrees.
    package internal(set) var agreeing = 0
    package internal(set) var intents = 0
    package internal(set) var outcomes = 0
    package internal(set) var results = 0
    package internal(set) var violations = 0
    package internal(set) var notes = 0
    package internal(set) var findings: [Finding] = []

    init(session: String, comparesContent: Bool) {
        self.session = session
        self.comparesContent = comparesContent
    }

    mutating func add(_ finding: Finding) {
        if finding.isViolation { violations += 1 } else { notes += 1 }
        if findings.count < Self.maximumListed { findings.append(finding) }
    }

    package var json: JSON {
        [
            "type": "audit_reconciliation", "session": .string(session), "compares_content": .bool(comparesContent), "calls": JSON(calls),
            "agreeing": JSON(agreeing), "intents": JSON(intents), "outcomes": JSON(outcomes), "results": JSON(results),
            "violations": JSON(violations), "notes": JSON(notes),
            "findings": .array(
                findings.map { ["call": .string($0.call), "violation": .bool($0.isViolation), "what": .string($0.what)] }),
        ]
    }
}
