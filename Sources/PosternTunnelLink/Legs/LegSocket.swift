import NIOCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Has the kernel notice that the other end of a leg is gone without a word: a network that parted, a machine that lost its power. PING finds that
/// too, through proxies even, but seldom enough to cost a thousand idle legs nothing; the kernel's probes are a packet each and wake nobody.
enum LegSocket {
    /// Seconds of silence before the first probe, between two, and until what is sent has to be acknowledged.
    private static let idle: SocketOptionValue = 2
    private static let interval: SocketOptionValue = 1
    private static let patience: SocketOptionValue = 5

    /// What a channel does not know, as one that is no TCP connection, it is left without.
    static func watch(_ channel: any Channel) {
        channel.setOption(.socketOption(.so_keepalive), value: 1).whenFailure { _ in }
        #if canImport(Glibc)
        // tcp(7).
        for (option, value) in [(TCP_KEEPIDLE, idle), (TCP_KEEPINTVL, interval), (TCP_KEEPCNT, patience), (TCP_USER_TIMEOUT, patience * 1000)] {
            channel.setOption(.tcpOption(NIOBSDSocket.Option(rawValue: option)), value: value).whenFailure { _ in }
        }
        #endif
    }
}
