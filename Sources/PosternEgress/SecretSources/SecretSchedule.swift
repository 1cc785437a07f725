/// When a value is looked up again. All times are of a monotonic clock, in seconds; chance is a parameter between 0 and 1.
struct SecretSchedule: Sendable, Hashable {
    /// A value is looked up again at least this often, so that a change at its source is seen, unless its source says otherwise.
    static let usual: Double = 60
    /// A local file costs next to nothing.
    static let ofFiles: Double = 5
    static let shortest: Double = 1

    /// When the value is to be looked up again.
    private(set) var next: Double
    /// From when on the value must not be used any more; `nil` while it has no lease.
    private(set) var end: Double?
    private var failures = 0
    private let usual: Double

    /// After a value came. It is due again after two thirds of its lease at the latest, earlier by up to a tenth so that many do not ask at once.
    init(now: Double, lease: Double?, chance: Double, usual: Double = Self.usual) {
        self.usual = usual
        let wait = min(max(lease.map { $0 * 2 / 3 } ?? usual, Self.shortest), usual)
        next = now + wait * (1 - 0.1 * chance)
        end = lease.map { now + $0 }
    }

    /// After no value came: waits twice as long each time, between half and the whole of it. The lease goes on.
    mutating func failed(now: Double, chance: Double) {
        failures = min(failures + 1, 10)
        let wait = min(Self.shortest * Double(1 << failures), usual)
        next = now + wait * (0.5 + 0.5 * chance)
    }

    func isUsable(now: Double) -> Bool { end.map { now < $0 } ?? true }
}
