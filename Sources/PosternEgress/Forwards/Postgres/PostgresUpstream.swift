import NIOCore

/// The direction from the client to the database: statements are recorded before they pass, the rest passes as it comes.
struct PostgresUpstream: Sendable {
    /// Frontend messages of a session that has begun. `p` is not among them: no password is asked for, so none may come.
    private static let passed = Set("BDESCHXdcf".utf8)

    let session: PostgresSession
    let database: NIOAsyncChannelOutboundWriter<ByteBuffer>

    /// Runs until the client ends. `rest` is what it sent with its greeting.
    func run(rest: ByteBuffer, _ reader: inout NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator) async throws {
        let owner = session.owner
        var frames = PostgresFrames(
            .init(
                allowed: Self.passed.union(PostgresStatementReader.types), held: PostgresStatementReader.types, noted: [UInt8(ascii: "X")],
                longestHeld: owner.options.longestStatement))
        frames.append(rest)
        while true {
            while let piece = try frames.next() {
                switch piece {
                case .pass(let bytes, let noted):
                    if !noted.isEmpty { session.totals.goodbye() }
                    try await session.spend(bytes.readableBytes)
                    try await database.write(bytes)
                case .held(let type, let message):
                    let statement = try owner.reader.statement(of: message, type: type)
                    // What a budget refuses is not about to happen, so it has no intent.
                    try await session.spend(message.readableBytes)
                    try await session.intend(.statement(statement))
                    session.totals.count(statements: 1)
                    try await database.write(message)
                }
            }
            guard let bytes = try await reader.next() else { return }
            frames.append(bytes)
        }
    }
}
