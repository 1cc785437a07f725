import PosternHTTP
import PosternTLS

extension TLSFailure {
    /// What TLS on a stream failed with.
    package init(_ error: any Error) {
        if error is TimedOut { self = .timedOut } else { self.init(text: "\(error)") }
    }
}
