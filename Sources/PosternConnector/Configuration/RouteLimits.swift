import NIOCore

/// What one route, and one caller of it, may take at one time, and how long each part of a call may last.
package struct RouteLimits: Hashable, Sendable {
    /// Calls at one time.
    package var concurrency = 256
    /// Calls at one time of one caller, as its certificate names it.
    package var concurrencyPerCaller = 64
    /// Largest body of a request, bytes.
    package var requestBytes = 64 << 20
    /// Largest body of an answer, bytes.
    package var answerBytes = 1 << 30
    /// Bytes a second that the body of a request must bring on the average, after half a minute; 0: no such bound.
    package var requestRate = 1_024
    /// For the rest of a head after its first byte.
    package var head = TimeAmount.seconds(30)
    /// Between the end of a request and the first byte of its answer. Tools run for minutes.
    package var answer = TimeAmount.minutes(30)
    /// Between two pieces of a body.
    package var idle = TimeAmount.minutes(30)
    /// For a piece of an answer to be taken by the caller.
    package var take = TimeAmount.minutes(2)
    /// For the connection to the upstream, its TLS included.
    package var connect = TimeAmount.seconds(10)
    /// For the rest of a call whose caller has gone away, where the revision of MCP says that this is no cancelling.
    package var linger = TimeAmount.seconds(30)
    /// For all of a call.
    package var call = TimeAmount.hours(24)

    /// Connections at one time of one caller, most of them between two calls.
    package var connectionsPerCaller: Int { max(16, 2 * concurrencyPerCaller) }

    package static let calls = 1...10_000
    package static let bytes = 1_024...(1 << 40)
    package static let rates = 0...(1 << 30)
    /// Milliseconds, of the times that end with an answer.
    package static let times = 100...86_400_000
    /// Milliseconds; 0: a caller that goes away ends its call.
    package static let lingers = 0...600_000

    /// A caller may begin its body slowly for so long.
    package var grace = TimeAmount.seconds(30)

    package init() {}

    /// What is left for the next piece of a request's body, of which `received` bytes have come and were waited for `waited`.
    func left(received: Int, waited: TimeAmount) -> TimeAmount {
        guard requestRate > 0 else { return idle }
        let allowed = grace.nanoseconds + Int64(Double(received) / Double(requestRate) * 1e9)
        return min(idle, .nanoseconds(allowed - waited.nanoseconds))
    }
}
