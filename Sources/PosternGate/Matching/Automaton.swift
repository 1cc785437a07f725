/// A position automaton (Glushkov's construction) of many patterns together: immutable, shared by every stream that uses it. A state is a
/// position that has consumed a byte of its set; there are no empty steps. A class, so that handing it on costs one count.
final class Automaton: Sendable {
    /// Index into `sets`, for each state.
    let setOf: [Int32]
    /// Four words for each set.
    let sets: [UInt64]
    /// The states that may come after state q: `follow[followStart[q]..<followStart[q + 1]]`.
    let followStart: [Int32]
    let follow: [Int32]
    /// The needles that end in state q, likewise.
    let acceptStart: [Int32]
    let accepts: [Int32]
    /// The states that a byte may begin, likewise by byte value, each with the guard that may forbid it: a bit, or 0.
    let initialStart: [Int32]
    let initial: [Int32]
    let initialGuard: [UInt8]
    /// For each byte, the guards that it trips when it stands before a match.
    let guardsOf: [UInt8]
    /// Bytes that no state tells apart have the same class.
    let classOf: [UInt8]
    /// One byte of each class.
    let byteOfClass: [UInt8]
    /// Length of the longest match in bytes.
    let longest: Int

    init(
        setOf: [Int32], sets: [UInt64], followStart: [Int32], follow: [Int32], acceptStart: [Int32], accepts: [Int32], initialStart: [Int32],
        initial: [Int32], initialGuard: [UInt8], guardsOf: [UInt8], classOf: [UInt8], byteOfClass: [UInt8], longest: Int
    ) {
        self.setOf = setOf
        self.sets = sets
        self.followStart = followStart
        self.follow = follow
        self.acceptStart = acceptStart
        self.accepts = accepts
        self.initialStart = initialStart
        self.initial = initial
        self.initialGuard = initialGuard
        self.guardsOf = guardsOf
        self.classOf = classOf
        self.byteOfClass = byteOfClass
        self.longest = longest
    }

    var stateCount: Int { setOf.count }

    @inline(__always)
    func set(of state: Int, contains byte: UInt8) -> Bool { sets[Int(setOf[state]) &* 4 &+ Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }

    @inline(__always)
    func accepts(in state: Int) -> ArraySlice<Int32> { accepts[Int(acceptStart[state])..<Int(acceptStart[state + 1])] }

    func isAccepting(_ state: Int) -> Bool { acceptStart[state] != acceptStart[state + 1] }
}
