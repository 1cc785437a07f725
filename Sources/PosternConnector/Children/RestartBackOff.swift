/// How soon a child may be started after the last one has ended. A value without I/O; times are seconds of a clock that never goes back.
struct RestartBackOff: Sendable {
    /// A child that lived for less has failed.
    static let steady = 10.0
    static let longest = 30.0

    private var failures = 0
    private var notBefore = 0.0

    mutating func ended(at now: Double, lived: Double) {
        failures = lived < Self.steady ? failures + 1 : 0
        // The first may have been an accident: the next one starts at once.
        let pause = failures < 2 ? 0 : min(Self.longest, 0.5 * Double(1 << min(failures - 2, 10)))
        notBefore = now + pause
    }

    /// How long it is until one may be started; 0 for now.
    func wait(at now: Double) -> Double { max(0, notBefore - now) }
}
