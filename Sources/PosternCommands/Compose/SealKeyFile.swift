import ManagedAgentsAPI
import PosternCore
import PosternServer

/// The seal key of a data folder: `seal.key`, made at the first start, readable by its owner only. Tunnel tokens come from it, and it seals the
/// keys of runtime authorities in the database; a copy of the database without it opens nothing.
struct SealKeyFile {
    let folder: String

    /// - Parameter hasSealed: Whether the store holds anything that an earlier key must fit.
    func prepare(_ hasSealed: () async throws(StoreError) -> Bool) async throws -> SealKey {
        let path = folder + "/seal.key"
        if !TextFile.exists(path) {
            let isNeeded: Bool
            do { isNeeded = try await hasSealed() } catch { throw CommandError(.failure, "the database cannot be read: \(error.reason)") }
            guard !isNeeded else {
                throw CommandError(
                    .configuration,
                    "\(path) is missing, and the database has tunnels that need it: restore it from the backup of the data folder. With another key "
                        + "every tunnel token would change and no runtime certificate could be issued.")
            }
            try TextFile.writeSecret(Base64URL.encode(SealKey.makeBytes()), to: path)
        }
        guard let bytes = Base64URL.decode(try TextFile.readSecret(path)), let key = SealKey(bytes) else {
            throw CommandError(
                .configuration, "\(path) does not hold a seal key (\(SealKey.size) bytes in URL-safe base64): restore it from a backup")
        }
        return key
    }
}
