/// How long a service asks its clients to wait: `retry-after-ms`, else `retry-after` in seconds or as a date (RFC 9110, section 10.2.3).
enum RetryAfter {
    /// No wait beyond a day is believed.
    private static let maximum = 86_400.0

    /// - Parameter header: looks a header up by its lower-case name. A date is measured against the `date` of the same answer, so that
    ///   no clock of ours takes part.
    static func read(_ header: (String) -> String?) -> Duration? {
        if let text = header("retry-after-ms"), let milliseconds = Double(text) { return duration(milliseconds / 1000) }
        guard let text = header("retry-after") else { return nil }
        if let seconds = Double(text) { return duration(seconds) }
        guard let then = httpDate(text), let now = header("date").flatMap(httpDate) else { return nil }
        return duration(Double(then - now))
    }

    private static func duration(_ seconds: Double) -> Duration? {
        guard seconds.isFinite, seconds >= 0 else { return nil }
        return .milliseconds(Int(min(seconds, maximum) * 1000))
    }

    /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that is still written.
    private static func httpDate(_ text: String) -> Int? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let day = Int(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int(parts[3]), (1970...9999).contains(year)
        else { return nil }
        let clock = parts[4].split(separator: ":").compactMap { Int($0) }
        guard clock.count == 3 else { return nil }
        return CivilDate.days(year: year, month: month + 1, day: day) * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
