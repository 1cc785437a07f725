import PosternTunnelWire

/// What the streams of one leg may fill of this side's memory: the sum of the receive windows that they are given never exceeds a bound (RFC 9113,
/// section 5.2). A stream begins with a small window and gets a larger one when its reader keeps up, as long as there is something left. A value.
struct WindowBudget: Sendable {
    private let total: Int
    /// What all legs of the process share, beyond first windows; `nil` where nothing is shared.
    private let pool: WindowPool?
    /// Bytes that no stream's window has.
    private(set) var free: Int
    private var streams = 0

    init(total: Int = LegLimits.windows, pool: WindowPool? = nil) {
        self.total = total
        self.pool = pool
        free = total
    }

    /// Takes the first window of a stream, which needs no asking: HTTP/2 gives it to every one.
    mutating func open() -> Int {
        streams += 1
        free -= LegLimits.firstWindow
        return LegLimits.firstWindow
    }

    /// A stream with the window `granted` has used up half of it, and its reader has taken that: its window from now on, at least half of what it was.
    mutating func renew(_ granted: Int) -> Int {
        // Few streams get to a window that fills a long path in three steps.
        let wanted = min(LegLimits.streamWindow, max(granted * 2, LegLimits.secondWindow))
        // What is left is given away in ever smaller pieces, so that who comes late finds some.
        if wanted > granted, wanted - granted <= free / 4, pool?.take(wanted - granted) != false {
            free -= wanted - granted
            return wanted
        }
        if granted * 2 < LegLimits.secondWindow, granted <= free / 4, pool?.take(granted) != false {
            free -= granted
            return granted * 2
        }
        let share = max(total / max(streams, 1), LegLimits.firstWindow)
        guard free < total / 8, granted / 2 >= share else { return granted }
        free += granted - granted / 2
        pool?.give(granted - granted / 2)
        return granted / 2
    }

    /// A stream with that window has ended.
    mutating func close(_ granted: Int) {
        streams -= 1
        free += granted
        pool?.give(granted - LegLimits.firstWindow)
    }
}

/// The receive window of one stream: what its peer may still send and what waits for the reader are never more than was granted. A value.
struct StreamWindow: Sendable {
    private(set) var granted: Int
    /// What the peer may still send.
    private var open: Int
    /// What the reader was given and has not taken.
    private var held = 0

    init(_ budget: inout WindowBudget) {
        granted = budget.open()
        open = granted
    }

    /// Bytes were given to the reader.
    mutating func passed(_ count: Int) {
        open -= count
        held += count
    }

    /// The reader has taken what it was given.
    mutating func taken() { held = 0 }

    /// By how much the window is to grow; `nil` where it has room enough.
    mutating func renewal(_ budget: inout WindowBudget) -> Int? {
        guard open + held <= granted / 2 else { return nil }
        granted = budget.renew(granted)
        let increment = granted - open - held
        open += increment
        return increment > 0 ? increment : nil
    }
}

/// The budget that the streams of one leg share. Used on its event loop only.
final class LegWindows {
    var budget: WindowBudget

    init(pool: WindowPool? = nil) { budget = WindowBudget(pool: pool) }
}
