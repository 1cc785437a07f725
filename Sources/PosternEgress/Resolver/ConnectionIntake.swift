import NIOCore
import PosternPolicy

/// What a connection to port 80 or 443 of a synthetic address is expected to speak.
package enum TransparentScheme: Sendable, Hashable {
    /// HTTP/1.1; its Host must be the target.
    case http
    /// TLS; the server name of its ClientHello must be the target.
    case https
}

/// Where connections of programs go that know nothing of a proxy: the same path as `CONNECT host:port` (`https`) and a request in
/// absolute form (`http`), with the same rules.
package protocol ConnectionIntake: Sendable {
    /// Serves the connection until it ends, and closes it. `channel` is connected, has no handlers and does not read by itself yet.
    func take(_ channel: any Channel, target: CanonicalHost, port: UInt16, scheme: TransparentScheme) async
    /// A connection to an address that stands for no name, or no longer. It is closed; for the record.
    func refuse(address: String, port: UInt16, reason: String) async
}
