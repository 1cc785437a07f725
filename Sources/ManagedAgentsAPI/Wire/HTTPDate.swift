/// Reads the dates of HTTP (RFC 9110, section 5.6.7).
package enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    private static let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    private static let longDays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

    /// Seconds since 1970; nil for what is no date. The form that servers must send, `Sun, 06 Nov 1994 08:49:37 GMT`, and the two old ones that
    /// recipients must accept: `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. The name of the day is not held against the date.
    package static func unixTime(_ text: String) -> Int64? {
        let parts = text.split(separator: " ").map(String.init)
        switch parts.count {
        case 6 where parts[0].hasSuffix(",") && days.contains(String(parts[0].dropLast())) && parts[5] == "GMT":
            return time(year: parts[3], month: parts[2], day: parts[1], clock: parts[4])
        case 4 where parts[0].hasSuffix(",") && longDays.contains(String(parts[0].dropLast())) && parts[3] == "GMT":
            let date = parts[1].split(separator: "-", omittingEmptySubsequences: false).map(String.init)
            guard date.count == 3, date[2].utf8.count == 2, let year = UInt8(date[2]) else { return nil }
            // The century is not in the text; years from 70 on are of the last one, as POSIX has it, so that no clock takes part.
            return time(year: (year >= 70 ? "19" : "20") + date[2], month: date[1], day: date[0], clock: parts[2])
        case 5 where days.contains(parts[0]):
            return time(year: parts[4], month: parts[1], day: parts[2].utf8.count == 1 ? "0" + parts[2] : parts[2], clock: parts[3])
        default: return nil
        }
    }

    /// The form that is sent (RFC 9110, section 5.6.7), of times since 1970: `Sun, 06 Nov 1994 08:49:37 GMT`.
    package static func text(_ time: Timestamp) -> String {
        // RFC 3339 has the same parts: `1994-11-06T08:49:37.000000Z`.
        let text = Array(time.description)
        // The first of January 1970 was a Thursday.
        let weekday = ((time.microseconds / 86_400_000_000 + 3) % 7 + 7) % 7
        let month = Int(String(text[5..<7])).map { months[($0 - 1) % 12] } ?? "Jan"
        return "\(days[Int(weekday)]), \(String(text[8..<10])) \(month) \(String(text[..<4])) \(String(text[11..<19])) GMT"
    }

    private static func time(year: String, month: String, day: String, clock: String) -> Int64? {
        guard let month = months.firstIndex(of: month), year.utf8.count == 4, day.utf8.count == 2, clock.utf8.count == 8 else { return nil }
        // RFC 3339 has the same parts with the same bounds.
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp("\(year)-\(number)-\(day)T\(clock)Z").map { $0.microseconds / 1_000_000 }
    }
}
