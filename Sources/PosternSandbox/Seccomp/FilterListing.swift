import CPosternSandbox

/// A filter as a table that a reader can check: every call that is not simply allowed, and what decides. It is decoded from the
/// compiled program, not printed from what that was made of.
package struct FilterListing: Sendable {
    package struct Entry: Sendable, Hashable {
        package var number: UInt32
        package var name: String
        /// Of most ways.
        package var otherwise: FilterVerdict
        /// The ways that end differently, each a list of conditions.
        package var cases: [FilterAnalysis.Path]

        /// One line for what holds always, or one for each case and one for the rest.
        package var lines: [String] {
            guard !cases.isEmpty else { return ["\(otherwise)"] }
            return cases.map { path in "\(path.verdict) when \(path.conditions.map(\.description).joined(separator: " and "))" } + [
                "else \(otherwise)"
            ]
        }
    }

    package var entries: [Entry]
    /// The first number from which on no call exists.
    package var unknownFrom: UInt32?
    package var instructions: Int
    package var foreignArchitecture: FilterVerdict
    /// Calls with the bit of the x32 interface.
    package var alternateInterface: FilterVerdict

    private static let highest: UInt32 = 1023

    package init(_ program: FilterProgram = .installed) throws(FilterProgram.Malformed) {
        instructions = program.instructions.count
        foreignArchitecture = try FilterAnalysis.verdict(0, architecture: program.architecture ^ 0x4000_0000, in: program)
        alternateInterface = try FilterAnalysis.verdict(0x4000_0000, in: program)
        // From the top down: the last number that is not ENOSYS by the bound.
        var bound = Self.highest
        while bound > 0, try FilterAnalysis.verdict(bound, in: program) == .refuse(errno: 38) { bound -= 1 }
        unknownFrom = bound == Self.highest ? nil : bound + 1
        entries = []
        for number in 0...bound {
            let paths = try FilterAnalysis.paths(of: number, in: program)
            guard let entry = Self.entry(number, paths) else { continue }
            entries.append(entry)
        }
    }

    private static func entry(_ number: UInt32, _ paths: [FilterAnalysis.Path]) -> Entry? {
        let name = psb_system_call_name(number).map { String(cString: $0) } ?? "call \(number)"
        let verdicts = Set(paths.map(\.verdict))
        if verdicts == [.allow] { return nil }
        if verdicts.count == 1, let only = verdicts.first { return Entry(number: number, name: name, otherwise: only, cases: []) }
        // What is said by conditions that hold is shorter than what is left when none does.
        let allowed = paths.filter { $0.verdict == .allow }
        let refused = paths.filter { $0.verdict != .allow }
        let isByAllowing = weight(allowed) < weight(refused)
        let otherwise = isByAllowing ? refused.first?.verdict ?? .kill : .allow
        return Entry(number: number, name: name, otherwise: otherwise, cases: (isByAllowing ? allowed : refused).map(shortened))
    }

    /// Ways that need something to be unequal to everything are what "else" is for.
    private static func weight(_ paths: [FilterAnalysis.Path]) -> Int { paths.count { path in !path.conditions.contains { $0.holds } } }

    /// Without what follows from the rest: unequal to this, when equal to that is said of the same.
    private static func shortened(_ path: FilterAnalysis.Path) -> FilterAnalysis.Path {
        var path = path
        let settled = Set(path.conditions.filter { $0.relation == .equal && $0.holds }.map(\.subject))
        path.conditions.removeAll { !$0.holds && $0.relation == .equal && settled.contains($0.subject) }
        return path
    }

    /// For a terminal.
    package var text: String {
        var lines = [
            "seccomp filter of every process in a sandbox: \(instructions) instructions, decoded from the compiled program",
            "other architectures' calls: \(foreignArchitecture); x32 calls: \(alternateInterface); "
                + (unknownFrom.map { "calls from number \($0) on: ENOSYS" } ?? "no bound on numbers"),
            "what is not listed is allowed; arguments are compared by their low 32 bits", "",
        ]
        for entry in entries {
            for (index, line) in entry.lines.enumerated() {
                let head = index == 0 ? "\(entry.number)" : ""
                let name = index == 0 ? entry.name : ""
                lines.append(Self.padded(head, 5) + Self.padded(name, 26) + line)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
}
