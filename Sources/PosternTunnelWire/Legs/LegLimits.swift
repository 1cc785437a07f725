/// The sizes of a leg's HTTP/2 connection (RFC 9113, sections 5.2 and 6.5.2), the same at both ends.
package enum LegLimits {
    /// Largest receive window of a stream, bytes: 4 MiB carry 100 MB/s at 40 ms. A stream's receiver never holds more of it.
    package static let streamWindow = 4 << 20
    /// Receive window with which a stream begins, bytes: the one of HTTP/2.
    package static let firstWindow = 65_535
    /// The next one, bytes, where there is room: streams that carry more than a few messages get it.
    package static let secondWindow = 512 << 10
    /// The receive windows of all streams of a leg, bytes: what a side of it holds at most for readers that do not read.
    package static let windows = 16 << 20
    /// Receive window of the connection, bytes. It is renewed as bytes arrive: the streams' windows are the bound.
    package static let connectionWindow = 16 << 20
    /// Streams at once on one leg.
    package static let streams = 100
    /// Largest frame, bytes.
    package static let frame = 65_536
    /// Largest list of header fields, bytes: a CONNECT has two short ones.
    package static let headers = 4096
    /// Bytes that wait to be sent on a stream before its writer is held back.
    package static let writeBuffer = 256 << 10
    /// A leg that was silent for so long, seconds, is asked by a PING whether it lives.
    package static let pingSeconds = 15
    /// For the answer to a PING, seconds; then the leg is dead.
    package static let pongSeconds = 10
}
