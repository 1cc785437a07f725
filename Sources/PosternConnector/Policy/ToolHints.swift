import PosternJSON

/// What a tool's definition says of what the tool does (MCP, `ToolAnnotations`), with the protocol's defaults for what it leaves out. A server's
/// word: it counts only where the definition is pinned.
package struct ToolHints: Hashable, Sendable {
    package enum Hint: String, Hashable, Sendable, CaseIterable {
        /// It changes nothing. Default: `false`.
        case readOnly = "readOnlyHint"
        /// What it changes may be lost. Default: `true`; `false` for a tool that only reads, which changes nothing.
        case destructive = "destructiveHint"
        /// A second call with the same arguments changes nothing more. Default: `false`; `true` for a tool that only reads.
        case idempotent = "idempotentHint"
        /// It deals with what is outside of the server. Default: `true`.
        case openWorld = "openWorldHint"
    }

    private let values: [Hint: Bool]

    /// Whatever is no truth value counts as the hint that lets least through.
    package init(_ definition: JSON) {
        let annotations = definition["annotations"]
        let readOnly = annotations?[Hint.readOnly.rawValue]?.bool == true
        func value(_ hint: Hint, absent: Bool, strict: Bool) -> Bool {
            guard let said = annotations?[hint.rawValue] else { return absent }
            return said.bool ?? strict
        }
        values = [
            .readOnly: readOnly,
            // The protocol gives both a meaning only where the tool changes something.
            .destructive: value(.destructive, absent: !readOnly, strict: true),
            .idempotent: value(.idempotent, absent: readOnly, strict: false),
            .openWorld: value(.openWorld, absent: true, strict: true),
        ]
    }

    package subscript(hint: Hint) -> Bool { values[hint] ?? false }

    /// Hints that a tool has to have all of, to be meant.
    package typealias Pattern = [Hint: Bool]

    func fits(_ pattern: Pattern) -> Bool { pattern.allSatisfy { self[$0.key] == $0.value } }
}

/// Which tools pass by their hints: those that fit one pattern of `allow` and none of `deny`.
package struct HintRules: Hashable, Sendable {
    /// `nil`: every tool, except the denied.
    package var allow: [ToolHints.Pattern]?
    package var deny: [ToolHints.Pattern]

    package init(allow: [ToolHints.Pattern]? = nil, deny: [ToolHints.Pattern] = []) {
        self.allow = allow
        self.deny = deny
    }

    func verdict(_ hints: ToolHints) -> NameRules.Verdict {
        if deny.contains(where: hints.fits) { return .denied }
        guard let allow else { return .allowed }
        return allow.contains(where: hints.fits) ? .allowed : .unknown
    }
}
