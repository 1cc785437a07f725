import PosternSandboxWire

/// Paths that a policy's patterns for the workspace speak of, to be planted there and attacked. A value without I/O.
struct FileRuleSamples {
    private(set) var hidden: [String] = []
    private(set) var protected: [String] = []
    /// Must be seen: without it the rest would mean nothing. `nil` where the policy hides everything.
    private let control: String?

    /// More patterns than these are not tried: their masks are made by the same code.
    private static let most = 64

    init(_ shape: SandboxShape) {
        let globs = shape.hidden.compactMap(PathGlob.init)
        let name = "self-test-control"
        control = globs.contains { $0.matches(Self.parts(name)) } ? nil : name
        hidden = Self.samples(of: shape.hidden)
        // Hidden wins.
        protected = Self.samples(of: shape.protected).filter { path in !globs.contains { $0.matches(Self.parts(path)) } }
    }

    /// For the scripts: `c:PATH` (control), `h:PATH` (hidden) and `p:PATH` (protected); none where there are no rules.
    var arguments: [String] {
        guard !hidden.isEmpty || !protected.isEmpty else { return [] }
        return (control.map { ["c:" + $0] } ?? []) + hidden.map { "h:" + $0 } + protected.map { "p:" + $0 }
    }

    private static func samples(of patterns: [String]) -> [String] {
        var found: [String] = []
        for pattern in patterns where found.count < most {
            guard let path = sample(of: pattern), !found.contains(path) else { continue }
            found.append(path)
        }
        return found
    }

    /// The shortest path that `pattern` matches, with `x` for whatever its stars and question marks stand for.
    private static func sample(of pattern: String) -> String? {
        guard let glob = PathGlob(pattern) else { return nil }
        let names = pattern.split(separator: "/").filter { $0 != "**" }.map { $0.replacing("*", with: "x").replacing("?", with: "x") }
        let path = (names.isEmpty ? ["x"] : names).joined(separator: "/")
        return glob.matches(parts(path)) ? path : nil
    }

    private static func parts(_ path: String) -> [[UInt8]] { path.split(separator: "/").map { Array($0.utf8) } }
}
