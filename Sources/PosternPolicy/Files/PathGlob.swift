/// A pattern for files and folders. In a component `*` is any run of characters, a leading dot too, and `?` is one byte; `**` as a
/// whole component is any number of components, none too. Upper and lower case differ.
///
/// - `.git/hooks` without a slash in front means this path below the workspace.
/// - `**/.env` means the name at any depth of the workspace and of every bound tree.
/// - `/data/*/keys` means paths of the host, in the trees that are bound.
///
/// A pattern that means a folder means all that is in it.
package struct PathGlob: Sendable, Hashable, CustomStringConvertible {
    package enum Scope: Sendable, Hashable {
        case workspace
        case host
        case everywhere
    }

    package let description: String
    package let scope: Scope
    private let parts: [Part]

    private static let maximumParts = 60

    private enum Part: Sendable, Hashable {
        case anyDepth
        case name(TextGlob)
    }

    /// At most 1,024 bytes in 60 components. Brackets and braces are refused: they would be literal here and mean something elsewhere.
    package init(_ text: String) throws(PolicyValueError) {
        guard (1...1024).contains(text.utf8.count), !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw PolicyValueError(value: text, rule: "must be a pattern of 1 to 1024 bytes without control characters")
        }
        guard !text.contains(where: { "[]{}\\".contains($0) }) else {
            throw PolicyValueError(value: text, rule: "must hold no brackets, braces and backslashes", remedy: "write one pattern for each case")
        }
        guard !text.hasPrefix("~"), !text.hasPrefix("!") else {
            throw PolicyValueError(
                value: text, rule: "must not begin with ~ or !", remedy: "write **/NAME, a path in the workspace, or one from / on")
        }
        let components = text.split(separator: "/").map(String.init)
        guard !components.isEmpty, !components.contains("."), !components.contains("..") else {
            throw PolicyValueError(value: text, rule: "must name something, without . and ..")
        }
        var parts: [Part] = []
        for component in components {
            if component == "**" {
                if parts.last != .anyDepth { parts.append(.anyDepth) }
            } else if component.contains("**") {
                throw PolicyValueError(value: text, rule: "** must be a whole component", remedy: "write **/ or a single *")
            } else {
                parts.append(.name(try TextGlob(component)))
            }
        }
        guard parts.count <= Self.maximumParts else {
            throw PolicyValueError(value: text, rule: "must have at most \(Self.maximumParts) components")
        }
        guard parts.contains(where: { $0 != .anyDepth }) else {
            throw PolicyValueError(value: text, rule: "means everything", remedy: "leave the path out of read and write instead")
        }
        self.parts = parts
        scope = text.hasPrefix("/") ? .host : parts.first == .anyDepth ? .everywhere : .workspace
        description = (text.hasPrefix("/") ? "/" : "") + components.joined(separator: "/")
    }

    /// Whether the path made of `components`, or a folder around it, is meant. The components start at the workspace for
    /// `Scope.workspace`, at the host's root for `Scope.host`, at either for `Scope.everywhere`.
    package func covers(_ components: [String]) -> Bool {
        var reached = closed(1)
        for component in components {
            if reached & whole != 0 { return true }
            reached = step(reached, component)
            if reached == 0 { return false }
        }
        return reached & whole != 0
    }

    /// The patterns that mean below `root`, a bound tree, what this one means there; they are relative to it. None where this one means
    /// nothing in it.
    package func patterns(below root: HostPath) -> [String] {
        guard scope != .workspace else { return [] }
        var reached = closed(1)
        for component in root.components { reached = step(reached, component) }
        let rests = parts.indices.filter { reached & (1 << UInt64($0)) != 0 }.map { index in
            parts[index...].map { part in
                if case .name(let glob) = part { glob.description } else { "**" }
            }.joined(separator: "/")
        }
        // What stands behind a `**` at the front is meant by it too.
        return rests.first.map { $0.hasPrefix("**/") ? [$0] + rests.dropFirst(2) : rests } ?? []
    }

    /// Bit `parts.count`: the whole pattern has been read.
    private var whole: UInt64 { 1 << UInt64(parts.count) }

    /// `states` once `component` has been read. Bit i: the first i parts can mean what was read so far.
    private func step(_ states: UInt64, _ component: String) -> UInt64 {
        var next: UInt64 = 0
        for (index, part) in parts.enumerated() where states & (1 << UInt64(index)) != 0 {
            switch part {
            case .anyDepth: next |= 1 << UInt64(index)
            case .name(let glob): if glob.matches(name: component) { next |= 1 << UInt64(index + 1) }
            }
        }
        return closed(next)
    }

    /// `**` may also stand for nothing.
    private func closed(_ states: UInt64) -> UInt64 {
        var states = states
        for (index, part) in parts.enumerated() where part == .anyDepth && states & (1 << UInt64(index)) != 0 { states |= 1 << UInt64(index + 1) }
        return states
    }
}
