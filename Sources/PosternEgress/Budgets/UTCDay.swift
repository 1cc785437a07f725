/// The day from midnight to midnight UTC that budgets count by.
package enum UTCDay {
    /// The time from `timestamp` (RFC 3339, section 5.6, in UTC) to the end of its day, up to a second more; `nil` for another text.
    package static func rest(after timestamp: String) -> Duration? {
        let text = Array(timestamp.utf8)
        guard text.count >= 20, text[10] == UInt8(ascii: "T"), text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
            text.last == UInt8(ascii: "Z")
        else { return nil }
        let parts = [11, 14, 17].map { Int(String(decoding: text[$0..<($0 + 2)], as: UTF8.self)) }
        guard let hours = parts[0], let minutes = parts[1], let seconds = parts[2], (0...23).contains(hours), (0...59).contains(minutes),
            (0...60).contains(seconds)
        else { return nil }
        return .seconds(max(1, 86_400 - (hours * 3600 + minutes * 60 + seconds)))
    }
}
