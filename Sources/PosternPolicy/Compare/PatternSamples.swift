/// Texts that a pattern matches, for asking a policy what it would decide.
enum PatternSamples {
    /// Without the wildcards and with something in their place; each matches the pattern.
    static func texts(of glob: TextGlob) -> [String] {
        if let plain = glob.plain { return [plain] }
        return ["", "x", "y z"].map { run in fill(glob.description, run: run) }
    }

    private static func fill(_ pattern: String, run: String) -> String {
        var text = ""
        var isEscaped = false
        for character in pattern {
            if !isEscaped, character == "\\" {
                isEscaped = true
            } else if !isEscaped, character == "*" {
                text += run
            } else if !isEscaped, character == "?" {
                text += "q"
            } else {
                text.append(character)
                isEscaped = false
            }
        }
        return text
    }

    /// Paths that the pattern means: `**` as nothing and as two folders.
    static func components(of glob: PathGlob) -> [[String]] {
        let parts = glob.description.split(separator: "/").map(String.init)
        return [[], ["v", "w"]].map { depth in
            parts.flatMap { part in part == "**" ? depth : [part.replacing("*", with: "x").replacing("?", with: "q")] }
        }
    }

    /// Paths of URLs that the pattern means, and a neighbour that it may not.
    static func paths(of pattern: PathPattern) -> [String] {
        let text = pattern.description
        let deep = text.replacing("**", with: "x/y").replacing("*", with: "x").replacing("?", with: "q")
        let flat = text.replacing("**", with: "").replacing("*", with: "").replacing("?", with: "q")
        return [deep, flat, deep + "z"].map { $0.hasPrefix("/") ? $0 : "/" + $0 }
    }

    /// Hosts that the pattern means, and for subdomains the name itself, which it does not.
    static func hosts(of pattern: HostPattern) -> [CanonicalHost] {
        switch pattern.hosts {
        case .exactly(let host): [host]
        case .subdomains(let name): [.name("sample.\(name)"), .name("a.sample.\(name)"), .name(name)]
        }
    }
}
