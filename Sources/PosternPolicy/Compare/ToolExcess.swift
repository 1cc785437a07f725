import PosternJSON

extension Policy {
    /// Tool calls with a milder verdict in this policy.
    func toolExcess(over other: Policy) -> [PolicyExcess] {
        toolCalls(with: other).compactMap { tool, input in
            let mine = tools.decide(tool: tool, input: input).verdict
            guard mine > other.tools.decide(tool: tool, input: input).verdict else { return nil }
            let call = input == [:] ? tool : "\(tool) with \(input.text)"
            return PolicyExcess(area: "tools", text: "\(printable(call)) \(mine == .allow ? "runs unasked" : "runs when approved")")
        }
    }

    private func toolCalls(with other: Policy) -> [(String, JSON)] {
        let lists = [tools, other.tools].flatMap { [$0.list] + $0.ceilings }
        let questions = lists.flatMap(\.ask)
        let globs = lists.flatMap { $0.allow + $0.deny } + questions.flatMap(\.tools)
        let names = Set(globs.flatMap(PatternSamples.texts(of:)) + ["sample", "bash"]).sorted()
        var inputs: [JSON] = [[:]]
        for question in questions {
            // For each condition the n-th sample of its first patterns, together one call that the question means.
            for number in 0..<3 {
                var input: JSON = [:]
                for (pointer, globs) in question.when {
                    let texts = globs.flatMap(PatternSamples.texts(of:))
                    guard !texts.isEmpty else { continue }
                    input = input.setting(pointer.tokens, to: .string(texts[number % texts.count]))
                }
                if !inputs.contains(input) { inputs.append(input) }
            }
        }
        return names.flatMap { name in inputs.map { (name, $0) } }
    }

    /// What the gate of this policy lets pass and the other's does not.
    func redactionExcess(over other: Policy) -> [PolicyExcess] {
        typealias Settings = RedactionSettings
        var excesses: [PolicyExcess] = []
        func compare(_ name: String, _ mine: Settings.Action?, _ theirs: Settings.Action) {
            let mine = mine ?? .allow
            if mine < theirs { excesses.append(PolicyExcess(area: "redaction", text: "\(name): \(mine.name) in place of \(theirs.name)")) }
        }
        for door in Settings.Door.allCases where other.redaction.doors.contains(door) && !redaction.doors.contains(door) {
            excesses.append(PolicyExcess(area: "redaction", text: "\(door.rawValue) are not looked at"))
        }
        for (name, action) in other.redaction.detectors.sorted(by: { $0.key < $1.key }) { compare(name, redaction.detectors[name], action) }
        for theirs in other.redaction.patterns {
            let mine = redaction.patterns.filter { $0.pattern == theirs.pattern }.map(\.action).max()
            compare("the pattern \(theirs.name)", mine, theirs.action)
        }
        for theirs in other.redaction.dictionaries {
            compare("the dictionary \(theirs.name)", redaction.dictionaries.filter { $0.file == theirs.file }.map(\.action).max(), theirs.action)
        }
        return excesses
    }
}

extension JSON {
    /// The value with `value` at the way made of `tokens`; objects are made where there is nothing.
    fileprivate func setting(_ tokens: [String], to value: JSON) -> JSON {
        guard let first = tokens.first else { return value }
        var members = object ?? [:]
        members[first] = (members[first] ?? [:]).setting(Array(tokens.dropFirst()), to: value)
        return .object(members)
    }
}
