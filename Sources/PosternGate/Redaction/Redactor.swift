/// Redacts one text as it streams by, however it is cut into pieces: the output and the counts depend on the whole text only. A value
/// without I/O.
///
/// A match is any stretch of bytes that a rule describes; every byte that is in a match is replaced, and matches that overlap or touch get
/// one mark together. At most `Pattern.longestMatch` bytes and a few more are held back, fewer where the text shows sooner that no match is
/// under way: after a line feed nothing is, unless a rule reaches across it.
package struct Redactor: Sendable {
    /// What was met so far. Complete after `finish`.
    package private(set) var counts = RedactionCounts()
    /// The rule of action `block` that was met. From there on nothing comes out.
    package private(set) var blockedBy: String?

    private let program: RedactionProgram
    private var matcher: LazyDFA
    /// Bytes read and not yet given out; `base` is the offset of the first. `before` is the byte before it.
    private var window: [UInt8] = []
    private var base = 0
    private var before: UInt8?
    /// Offset of the next byte to look at.
    private var position = 0

    /// Fast mode: the matcher's state, and the offset at which no match was under way last.
    private var state: Int32
    private var quiet = 0
    /// Careful mode, around matches: all that is under way.
    private var isCareful = false
    private var threads = ThreadSet()
    private var waiting: [Candidate] = []
    private var tails: [RunningTail] = []
    private var coverage = Coverage()
    private var hits: [ThreadSet.Hit] = []
    /// For rules that only count: where the last match ended.
    private var countedTo: [Int: Int] = [:]

    /// A match whose next byte decides.
    private struct Candidate: Sendable {
        var needle: Int32
        var start: Int
        var end: Int
    }

    package init(_ program: RedactionProgram) {
        self.program = program
        matcher = program.takeMatcher()
        state = matcher.quietState(after: nil, program.automaton)
    }

    /// Bytes held back: read and not yet given out.
    package var heldBytes: Int { window.count }

    package mutating func feed(_ bytes: some Sequence<UInt8>, into output: inout [UInt8]) {
        guard blockedBy == nil else { return }
        window.append(contentsOf: bytes)
        scan()
        release(before: safe, isLast: false, into: &output)
    }

    /// The end of the text: gives out what was held back.
    package mutating func finish(into output: inout [UInt8]) {
        guard blockedBy == nil else { return }
        let limit = coverage.end
        for candidate in waiting { accept(candidate, limit: limit) }
        release(before: base + window.count, isLast: true, into: &output)
        program.giveBack(matcher)
    }

    /// Redacts a whole text.
    package static func redact(_ text: [UInt8], _ program: RedactionProgram) -> (output: [UInt8], counts: RedactionCounts, blockedBy: String?) {
        var redactor = Redactor(program)
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        redactor.feed(text, into: &output)
        redactor.finish(into: &output)
        return (output, redactor.counts, redactor.blockedBy)
    }

    // MARK: Reading

    private func byte(at offset: Int) -> UInt8 { window[offset - base] }

    private func guards(at offset: Int) -> UInt8 {
        let last = offset > base ? window[offset - base - 1] : before
        return last.map { program.automaton.guardsOf[Int($0)] } ?? 0
    }

    private mutating func scan() {
        let end = base + window.count
        while position < end {
            if isCareful {
                step()
                continue
            }
            var index = position - base
            var quietIndex = quiet - base
            let matched = matcher.scan(window, index: &index, state: &state, quiet: &quietIndex, program.automaton)
            quiet = base + quietIndex
            if !matched {
                position = base + index
                return
            }
            // A match ends here: go back to where it can have begun at the earliest, and follow it from there.
            let ending = base + index
            isCareful = true
            threads.clear()
            position = max(quiet, ending - program.automaton.longest, base)
        }
    }

    /// Careful mode: one byte.
    private mutating func step() {
        let (here, byte) = (position, byte(at: position))
        let limit = coverage.end
        if !waiting.isEmpty {
            let decided = waiting
            waiting.removeAll(keepingCapacity: true)
            for candidate in decided where !program.needles[Int(candidate.needle)].notBefore.contains(byte) { accept(candidate, limit: limit) }
        }
        if !tails.isEmpty {
            for index in tails.indices where tails[index].advance(byte) { cover(here, here + 1, rule: tails[index].rule) }
            tails.removeAll(where: \.isOver)
        }
        hits.removeAll(keepingCapacity: true)
        threads.step(byte, at: here, guards: guards(at: here), program.automaton, hits: &hits)
        position = here + 1
        for hit in hits {
            let candidate = Candidate(needle: hit.needle, start: hit.start, end: position)
            if program.needles[Int(hit.needle)].notBefore.isEmpty { accept(candidate, limit: limit) } else { waiting.append(candidate) }
        }
        if threads.isEmpty, waiting.isEmpty, tails.isEmpty {
            isCareful = false
            quiet = position
            state = matcher.quietState(after: byte, program.automaton)
        }
    }

    /// A match that nothing speaks against any more, but its own check. `limit`: where coverage ended before this byte.
    private mutating func accept(_ candidate: Candidate, limit: Int) {
        let needle = program.needles[Int(candidate.needle)]
        var start = candidate.start
        if let check = needle.check, !check.holds(window[start - base..<candidate.end - base]) { return }
        // What touches a match before it continues that one.
        if let head = needle.head, start > limit || limit == 0 {
            var taken = 0
            while start > limit, start > base, taken < head.limit, head.set.contains(byte(at: start - 1)) {
                start -= 1
                taken += 1
            }
            if taken < head.least { return }
        }
        cover(start, candidate.end, rule: needle.rule)
        if let tail = needle.tail {
            let running = RunningTail(tail, needle: candidate.needle, rule: needle.rule)
            if let known = tails.firstIndex(where: { $0.needle == candidate.needle }) { tails[known] = running } else { tails.append(running) }
        }
    }

    private mutating func cover(_ start: Int, _ end: Int, rule: Int) {
        guard program.rules[rule].action == .allow else {
            coverage.add(start, end, rule: rule)
            return
        }
        // What overlaps or touches counts once, as for the others.
        if start > countedTo[rule, default: -1] { counts.add(program.rules[rule].name) }
        countedTo[rule] = max(countedTo[rule, default: -1], end)
    }

    // MARK: Giving out

    /// No match that is still to be found begins before this offset.
    private var safe: Int {
        var lowest = max(quiet, position - program.automaton.longest)
        if isCareful {
            // A match whose next byte decides is among the threads until then.
            lowest = threads.firstStart ?? position
        }
        var taken = 0
        while lowest > max(base, coverage.end), taken < program.headLimit, program.headSet.contains(byte(at: lowest - 1)) {
            lowest -= 1
            taken += 1
        }
        return max(lowest, base)
    }

    private mutating func release(before safe: Int, isLast: Bool, into output: inout [UInt8]) {
        var cursor = base
        while let group = coverage.first, group.start < safe {
            if group.start > cursor { output += window[cursor - base..<group.start - base] }
            cursor = max(cursor, group.start)
            // Until a byte beyond it is safe, the group may grow.
            let leaving = min(group.end, safe)
            if leaving > cursor { coverage.keep(window[cursor - base..<leaving - base], limit: RedactionProgram.hashedBytes) }
            cursor = max(cursor, leaving)
            guard group.end < safe || isLast else { break }
            close(coverage.removeFirst(), into: &output)
            if blockedBy != nil {
                window = []
                return
            }
        }
        if coverage.first.map({ $0.start >= safe }) ?? true, cursor < safe {
            output += window[cursor - base..<safe - base]
            cursor = safe
        }
        guard cursor > base else { return }
        before = window[cursor - base - 1]
        window.removeFirst(cursor - base)
        base = cursor
    }

    /// Writes the group's mark and counts it.
    private mutating func close(_ group: Coverage.Group, into output: inout [UInt8]) {
        let rules = group.rules.sorted().map { program.rules[$0] }
        for rule in rules { counts.add(rule.name) }
        guard let action = rules.map(\.action).max(), let rule = rules.first(where: { $0.action == action }) else { return }
        switch action {
        case .allow: break
        case .mask: output += "[redacted: \(rule.name)]".utf8
        case .hash: output += "[redacted: \(rule.name) \(program.hash(group.prefix))]".utf8
        case .block: blockedBy = rule.name
        }
    }
}
