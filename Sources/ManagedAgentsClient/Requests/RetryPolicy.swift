import ManagedAgentsAPI

/// Whether and when a failed try is made again (contract, section 1.5). A value without I/O: chance and the clock come in.
package struct RetryPolicy: Sendable, Equatable {
    /// Tries after the first.
    package var maximumRetries: Int
    package var baseDelay: Duration
    package var maximumDelay: Duration
    /// A longer wait that a server asks for is not slept here; the caller gets the error with its `retryAfter` and decides.
    package var maximumServerDelay: Duration

    package init(
        maximumRetries: Int = 2, baseDelay: Duration = .milliseconds(500), maximumDelay: Duration = .seconds(8),
        maximumServerDelay: Duration = .seconds(60)
    ) {
        self.maximumRetries = maximumRetries
        self.baseDelay = baseDelay
        self.maximumDelay = maximumDelay
        self.maximumServerDelay = maximumServerDelay
    }

    package static let standard = RetryPolicy()
    package static let none = RetryPolicy(maximumRetries: 0)

    /// The wait before the next try, or `nil` if there is to be none. `retry` counts from 0; `random` is uniform in 0..<1.
    package func delay(afterStatus status: Int, headers: ClientHeaders, retry: Int, random: Double, unixTime: Int64) -> Duration? {
        guard retry < maximumRetries, Self.isRetryable(status: status, headers: headers) else { return nil }
        if let asked = Self.retryAfter(headers, unixTime: unixTime) { return asked <= maximumServerDelay ? asked : nil }
        return backoff(retry: retry, random: random)
    }

    /// The wait after a try that got no answer.
    package func delay(after error: TransportError, retry: Int, random: Double) -> Duration? {
        guard retry < maximumRetries else { return nil }
        switch error {
        case .cancelled, .refused: return nil
        case .connection, .timeout, .broken: return backoff(retry: retry, random: random)
        }
    }

    /// `0.5·2ⁿ` capped at 8 s, minus up to a quarter.
    func backoff(retry: Int, random: Double) -> Duration {
        var delay = baseDelay
        for _ in 0..<min(retry, 30) where delay < maximumDelay { delay *= 2 }
        return min(delay, maximumDelay) * (1 - 0.25 * min(max(random, 0), 1))
    }

    static func isRetryable(status: Int, headers: ClientHeaders) -> Bool {
        switch headers["x-should-retry"] {
        case "true": true
        case "false": false
        default: status == 408 || status == 409 || status == 429 || status >= 500
        }
    }

    /// What the service asks to wait; nil if it asks for nothing readable.
    package static func retryAfter(_ headers: ClientHeaders, unixTime: Int64) -> Duration? {
        RetryAfter.read({ headers[$0] }, unixTime: unixTime, maximum: longestWait)
    }

    /// A hundred years, so that no timer overflows. Otherwise nothing is cut off, because a wait of more than ``maximumServerDelay`` is not slept
    /// here but told to the caller, who is to know what was asked. (The model providers cut at a day: their caller sleeps.)
    private static let longestWait = Duration.seconds(3_155_760_000)
}
