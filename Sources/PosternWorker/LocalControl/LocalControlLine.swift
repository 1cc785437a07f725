import PosternJSON

/// One message of the local control socket: JSON on one line. A value without I/O that takes what comes and says when the line is there.
struct LocalControlLine: Sendable {
    private var bytes: [UInt8] = []
    let limit: Int

    /// Of a request. Answers are as long as the worker has sessions.
    static let requestLimit = 4096
    static let replyLimit = 16 << 20

    init(limit: Int) { self.limit = limit }

    /// The message, once its line has ended; `nil` before.
    mutating func append(_ more: some Sequence<UInt8>) throws(LocalControlError) -> JSON? {
        bytes.append(contentsOf: more)
        guard let end = bytes.firstIndex(of: 0x0A) else {
            guard bytes.count <= limit else { throw LocalControlError("a message has more than \(limit) bytes") }
            return nil
        }
        guard end <= limit else { throw LocalControlError("a message has more than \(limit) bytes") }
        do {
            return try JSON(parsing: bytes[..<end])
        } catch {
            throw LocalControlError("a message is no JSON: \(error)")
        }
    }

    static func encoded(_ json: JSON) -> [UInt8] { json.encoded + [0x0A] }
}
