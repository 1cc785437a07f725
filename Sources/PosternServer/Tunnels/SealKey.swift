import Crypto

/// The key that stands behind tunnel tokens and sealed keys. It is not in the store: a copy of the database alone opens nothing. Prints nothing.
package struct SealKey: Sendable, CustomStringConvertible, CustomReflectable {
    /// In bytes.
    package static let size = 32

    /// Of tunnel tokens.
    let tokens: SymmetricKey
    /// Of the runtime authorities' private keys: derived (RFC 5869), so that one use says nothing of the other.
    let authorities: SymmetricKey

    /// Of the keys that sign logs of registrations.
    let logs: SymmetricKey

    /// Of the ids of routes.
    let routes: SymmetricKey

    /// - Parameter bytes: `size` random ones; `nil` for any other number.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        tokens = SymmetricKey(data: bytes)
        authorities = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: tokens, info: Array("postern runtime authority".utf8), outputByteCount: Self.size)
        routes = HKDF<SHA256>.deriveKey(inputKeyMaterial: tokens, info: Array("postern route ids".utf8), outputByteCount: Self.size)
        logs = HKDF<SHA256>.deriveKey(inputKeyMaterial: tokens, info: Array("postern registration logs".utf8), outputByteCount: Self.size)
    }

    /// Fresh bytes from the system's generator.
    package static func makeBytes() -> [UInt8] { SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) } }

    package var description: String { "SealKey" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
