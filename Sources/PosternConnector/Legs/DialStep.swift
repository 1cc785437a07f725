import PosternPolicy

/// What has been done on the way to a leg, in this order. For whoever asks where it broke.
package enum DialStep: Sendable, Hashable {
    /// The edge's name, or the proxy's where one is used, has these addresses. Left out where an address is written instead of a name.
    case resolved(host: String, addresses: [IPAddress])
    /// TCP stands: to the edge, or to the proxy.
    case connected(IPAddress, port: UInt16)
    /// TLS to the proxy stands.
    case proxyTLS
    /// The proxy has connected.
    case proxied
    /// TLS to the edge stands. Its certificate in DER.
    case outerTLS(certificate: [UInt8])
    /// The edge has answered, yes or no. Its `Date`, where it gives one.
    case answered(date: String?)
    /// The leg is open.
    case accepted
}
