import ManagedAgentsAPI
import Testing

@Suite struct RetryAfterTests {
    private static let day = Duration.seconds(86_400)

    private func read(_ headers: [String: String], clock: Int64? = nil, maximum: Duration = day) -> Duration? {
        RetryAfter.read({ headers[$0] }, unixTime: clock, maximum: maximum)
    }

    @Test(arguments: [
        ("0", Duration.zero), ("7", .seconds(7)), ("0.5", .milliseconds(500)), ("007", .seconds(7)), ("86400", day), ("86401", day), ("1e300", day),
        ("1e9999", day), ("18446744073709551616", day),
    ])
    func seconds(text: String, wait: Duration) { #expect(read(["retry-after": text]) == wait) }

    @Test(arguments: [
        "", " ", "soon", "-3", "-0.001", "nan", "inf", "-inf", "infinity", "0x10", "0x1p3", "1 2", "7s", "1_000", "٧", "--1", "1.2.3", "e5",
    ])
    func whatCannotBeReadIsAbsent(text: String) {
        #expect(read(["retry-after": text]) == nil)
        #expect(read(["retry-after-ms": text]) == nil)
        // A bad header does not hide a good one.
        #expect(read(["retry-after-ms": text, "retry-after": "9"]) == .seconds(9))
    }

    @Test func millisecondsComeFirst() {
        #expect(read(["retry-after-ms": "1250", "retry-after": "9"]) == .milliseconds(1250))
        #expect(read(["retry-after-ms": "0"]) == .zero)
        #expect(read(["retry-after-ms": "1e300"]) == Self.day)
        #expect(read([:]) == nil)
    }

    @Test func theCallerSetsTheBound() {
        #expect(read(["retry-after": "7"], maximum: .milliseconds(500)) == .milliseconds(500))
        #expect(read(["retry-after": "0.2"], maximum: .milliseconds(500)) == .milliseconds(200))
        #expect(read(["retry-after": "1e11"], maximum: .seconds(253_402_300_799)) == .seconds(100_000_000_000))
        #expect(read(["retry-after": "1e300"], maximum: .seconds(253_402_300_799)) == .seconds(253_402_300_799))
    }

    @Test func datesAreMeasuredAgainstTheAnswersOwnThenAgainstTheClock() {
        let then = "Sun, 06 Nov 1994 08:50:07 GMT"
        #expect(read(["retry-after": then]) == nil)
        #expect(read(["retry-after": then, "date": "Sun, 06 Nov 1994 08:49:37 GMT"]) == .seconds(30))
        #expect(read(["retry-after": then], clock: 784_111_800) == .seconds(7))
        // A clock that is an hour off does not matter.
        #expect(read(["retry-after": then, "date": "Sun, 06 Nov 1994 08:49:37 GMT"], clock: 784_108_200) == .seconds(30))
        #expect(read(["retry-after": then, "date": "yesterday"], clock: 784_111_800) == .seconds(7))
        #expect(read(["retry-after": then, "date": "yesterday"]) == nil)
        // A date that has passed, one too far away, a clock that is no time.
        #expect(read(["retry-after": then], clock: 784_111_900) == .zero)
        #expect(read(["retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"], clock: 0) == Self.day)
        #expect(read(["retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"], clock: .min) == nil)
    }

    @Test(arguments: [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Wed Nov 16 08:49:37 1994", 784_975_777), ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
        ("Saturday, 01-Jan-00 00:00:00 GMT", 946_684_800), ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
    ])
    func dates(text: String, time: Int64) { #expect(HTTPDate.unixTime(text) == time) }

    @Test(arguments: [
        "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "Thu, 29 Feb 2024 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 30 Nov 2026 00:00:00 GMT",
    ])
    func datesThatAreSent(text: String) throws {
        let time = try #require(HTTPDate.unixTime(text))
        #expect(HTTPDate.text(Timestamp(microseconds: time * 1_000_000 + 999_999)) == text)
    }

    @Test(arguments: [
        "", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
        "06 Nov 1994 08:49:37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Thu, 29 Feb 2023 00:00:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov +994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:-7 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-+4 08:49:37 GMT", "Sunday, 06-Nov 08:49:37 GMT", "Sun Nov 6 08:49:37 94", "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 GMT x",
    ])
    func whatIsNoDate(text: String) { #expect(HTTPDate.unixTime(text) == nil) }
}
