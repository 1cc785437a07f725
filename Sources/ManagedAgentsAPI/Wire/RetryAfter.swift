/// How long a service asks its clients to wait (RFC 9110, section 10.2.3).
package enum RetryAfter {
    /// `retry-after-ms`, which the reference service and its clients use, else `retry-after` in seconds, whole or not, or as a date. A header that
    /// cannot be read counts as absent. A date that has passed asks for no wait.
    /// - Parameters:
    ///   - header: looks a header up by its name in lower case.
    ///   - unixTime: seconds since 1970 by the caller's clock, for a date in an answer without a `date` of its own; the answer's own is preferred,
    ///     because it is right whatever the two clocks say. Nil: such a date is not read.
    ///   - maximum: what is longer counts as this long.
    package static func read(_ header: (String) -> String?, unixTime: Int64? = nil, maximum: Duration) -> Duration? {
        if let text = header("retry-after-ms"), let milliseconds = number(text) { return wait(milliseconds / 1000, maximum) }
        guard let text = header("retry-after") else { return nil }
        if let seconds = number(text) { return wait(seconds, maximum) }
        guard let then = HTTPDate.unixTime(text), let now = header("date").flatMap(HTTPDate.unixTime) ?? unixTime else { return nil }
        let (seconds, overflow) = then.subtractingReportingOverflow(now)
        return overflow ? nil : wait(Double(max(0, seconds)), maximum)
    }

    /// A decimal number of 0 or more. Swift alone would read `nan`, `inf` and hexadecimal too.
    private static func number(_ text: String) -> Double? {
        guard text.utf8.allSatisfy({ (48...57).contains($0) || ".eE+-".utf8.contains($0) }), let value = Double(text), value >= 0 else { return nil }
        return value
    }

    private static func wait(_ seconds: Double, _ maximum: Duration) -> Duration {
        // A number may be larger than a duration can be.
        seconds < 1e12 ? min(.milliseconds(Int64(seconds * 1000)), maximum) : maximum
    }
}
