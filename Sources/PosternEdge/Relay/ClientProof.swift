import NIOCore

/// What an edge can see of an inner handshake: whether the client went on after the server's part of it, and so has believed the server. It reads the
/// headers of the records that the client sends, which are in the clear (RFC 8446, section 5.1). A value without I/O.
///
/// A client that does not believe the server sends one encrypted alert of 19 bytes, or nothing. One that does sends its Finished, of 53 bytes at
/// least. No server can make a client send the one for the other.
struct ClientProof: Sendable {
    private(set) var isProved = false
    private var header: [UInt8] = []
    /// Bytes of the present record that are still to come.
    private var rest = 0
    /// The present record proves it, once it is whole: a header alone costs nothing, and a whole record that is no Finished makes a server end the call.
    private var isFinished = false

    private static let applicationData: UInt8 = 23
    private static let longestAlert = 40

    mutating func feed(_ bytes: ByteBuffer) {
        guard !isProved else { return }
        var view = bytes.readableBytesView[...]
        while !view.isEmpty {
            if rest > 0 {
                let skipped = min(rest, view.count)
                rest -= skipped
                view = view.dropFirst(skipped)
                if rest == 0, isFinished {
                    isProved = true
                    return
                }
                continue
            }
            let missing = view.prefix(5 - header.count)
            header += missing
            view = view.dropFirst(missing.count)
            guard header.count == 5 else { return }
            rest = Int(header[3]) << 8 | Int(header[4])
            isFinished = header[0] == Self.applicationData && rest > Self.longestAlert
            header = []
        }
    }
}
