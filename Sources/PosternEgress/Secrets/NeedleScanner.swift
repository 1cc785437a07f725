/// Finds byte strings in a stream, across the borders of its pieces, and replaces each by another of the same length. A value without I/O.
///
/// It is one Aho-Corasick automaton; the work for a byte does not depend on the number of needles. At most `longest - 1` bytes are held
/// back between two pieces.
struct NeedleScanner: Sendable {
    struct Needle: Hashable, Sendable {
        var bytes: [UInt8]
        /// As long as `bytes`.
        var replacement: [UInt8]
        /// What it belongs to, for counting.
        var owner: Int
    }

    /// Shared by all streams of a session.
    struct Automaton: Sendable {
        /// Next state for each state and class of bytes, as the offset of its row; the complement of it where a needle ends there. Bytes in
        /// no needle are of class 0.
        fileprivate let table: [Int32]
        fileprivate let classOf: [UInt8]
        fileprivate let width: Int
        /// The longest needle that ends in a state, -1 for none.
        fileprivate var ends: [Int32] = [-1]
        /// Length of what is matched so far in a state.
        fileprivate var depth: [Int32] = [0]
        fileprivate let needles: [Needle]

        /// Needles without bytes, or with a replacement of another length, are left out.
        init(_ needles: [Needle]) {
            self.needles = needles.filter { !$0.bytes.isEmpty && $0.bytes.count == $0.replacement.count }
            var classOf = [UInt8](repeating: 0, count: 256)
            var width = 1
            // Needles are printable text (`BoundSecret`): fewer than 255 classes.
            for needle in self.needles {
                for byte in needle.bytes where classOf[Int(byte)] == 0 && width < 255 {
                    classOf[Int(byte)] = UInt8(width)
                    width += 1
                }
            }
            self.classOf = classOf
            self.width = width
            var next = [Int32](repeating: 0, count: width)
            var links: [Int32] = [0]
            for (index, needle) in self.needles.enumerated() {
                var state: Int32 = 0
                for byte in needle.bytes {
                    let slot = Int(state) * width + Int(classOf[Int(byte)])
                    if next[slot] == 0 {
                        next[slot] = Int32(ends.count)
                        next.append(contentsOf: repeatElement(0, count: width))
                        ends.append(-1)
                        depth.append(depth[Int(state)] + 1)
                        links.append(0)
                    }
                    state = next[slot]
                }
                if ends[Int(state)] < 0 { ends[Int(state)] = Int32(index) }
            }
            // Breadth first: a state's link is shallower than the state, so it is complete already.
            var queue = next[0..<width].filter { $0 != 0 }
            var head = 0
            while head < queue.count {
                let state = queue[head]
                head += 1
                let link = links[Int(state)]
                if ends[Int(state)] < 0 { ends[Int(state)] = ends[Int(link)] }
                for column in 0..<width {
                    let slot = Int(state) * width + column
                    let viaLink = next[Int(link) * width + column]
                    if next[slot] == 0 {
                        next[slot] = viaLink
                    } else {
                        links[Int(next[slot])] = viaLink
                        queue.append(next[slot])
                    }
                }
            }
            let ends = ends
            table = next.map { ends[Int($0)] >= 0 ? ~($0 * Int32(width)) : $0 * Int32(width) }
        }

        var isEmpty: Bool { needles.isEmpty }
    }

    private let automaton: Automaton
    private var state: Int32 = 0
    private var held: [UInt8] = []
    /// Matches so far, by owner.
    private(set) var counts: [Int: Int] = [:]

    init(_ automaton: Automaton) {
        self.automaton = automaton
    }

    /// Takes a piece of the stream and gives what of it can no longer become part of a match, replaced where it was one.
    mutating func feed(_ piece: some Sequence<UInt8>) -> [UInt8] {
        if automaton.isEmpty { return Array(piece) }
        var bytes = held
        bytes.append(contentsOf: piece)
        var row = state
        var index = held.count
        while let end = advance(bytes, &index, &row) {
            let needle = automaton.needles[end]
            bytes.replaceSubrange((index - needle.bytes.count)..<index, with: needle.replacement)
            counts[needle.owner, default: 0] += 1
            // Begin anew: a byte belongs to one match only.
            row = 0
        }
        state = row
        let keep = Int(automaton.depth[Int(row) / automaton.width])
        held = Array(bytes.suffix(keep))
        bytes.removeLast(keep)
        return bytes
    }

    /// Reads on from `index` to the end, or until just after a needle: the index of that needle.
    private func advance(_ bytes: [UInt8], _ index: inout Int, _ row: inout Int32) -> Int? {
        var (position, current) = (index, row)
        defer { (index, row) = (position, current) }
        return bytes.withUnsafeBufferPointer { bytes in
            automaton.table.withUnsafeBufferPointer { table in
                automaton.classOf.withUnsafeBufferPointer { classes in
                    while position < bytes.count {
                        current = table[Int(current) &+ Int(classes[Int(bytes[position])])]
                        position &+= 1
                        if current < 0 {
                            current = ~current
                            return Int(automaton.ends[Int(current) / automaton.width])
                        }
                    }
                    return nil
                }
            }
        }
    }

    /// The rest, at the end of the stream.
    mutating func finish() -> [UInt8] {
        defer {
            held = []
            state = 0
        }
        return held
    }
}
