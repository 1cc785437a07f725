import NIOPosix
import PosternAudit
import PosternJSON
import PosternTunnelWire

/// Where a connector keeps what it has seen of the log, and where its operator says what is accepted.
struct RegistrationFile: Sendable {
    /// Absolute.
    let state: String
    let accepted: String

    /// In bytes.
    private static let largest = 16 << 20

    /// What was kept; `nil` before the first time. Blocks: for the start.
    func load() throws -> JSON? {
        guard let bytes = try SmallFile.read(state, limit: Self.largest) else { return nil }
        do { return try JSON(parsing: bytes) } catch { throw ConnectorError("\(state) is damaged: \(error)") }
    }

    /// Blocks: for the start.
    func store(_ json: JSON) throws(FileError) { try SmallFile.write(json.encoded + [UInt8(ascii: "\n")], to: state) }

    /// The same, on a thread of its own.
    func save(_ json: JSON) async throws {
        let file = self
        try await NIOThreadPool.singleton.runIfActive { try file.store(json) }
    }

    /// A word a line; what stands after it on the line is for people.
    func words() async throws -> Set<String> {
        let path = accepted
        let bytes = try await NIOThreadPool.singleton.runIfActive { try SmallFile.read(path) } ?? []
        return Self.words(bytes)
    }

    static func words(_ bytes: [UInt8]) -> Set<String> {
        Set(String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).compactMap { $0.split(separator: " ").first.map(String.init) })
    }
}
