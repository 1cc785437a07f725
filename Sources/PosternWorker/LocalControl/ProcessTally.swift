/// What became of processes that were to stop.
package struct ProcessTally: Sendable, Hashable {
    /// They stand still.
    package var stopped = 0
    /// They could not be stopped in time.
    package var killed = 0
    /// They could not be killed either, or nobody can say that they are gone.
    package var survivors = 0

    package init(stopped: Int = 0, killed: Int = 0, survivors: Int = 0) {
        (self.stopped, self.killed, self.survivors) = (stopped, killed, survivors)
    }

    package static func + (one: ProcessTally, other: ProcessTally) -> ProcessTally {
        ProcessTally(stopped: one.stopped + other.stopped, killed: one.killed + other.killed, survivors: one.survivors + other.survivors)
    }
}
