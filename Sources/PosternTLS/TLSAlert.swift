/// A fatal alert in the clear (RFC 8446, section 6), for a handshake that nobody here will go on with: it tells a client more than a closed
/// connection does. Whoever is on the way could have written it too.
package enum TLSAlert: UInt8, Sendable {
    case internalError = 80
    case unrecognizedName = 112

    /// The record on the wire.
    package var record: [UInt8] { [21, 3, 3, 0, 2, 2, rawValue] }
}
