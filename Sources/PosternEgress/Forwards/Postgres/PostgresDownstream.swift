import NIOCore

/// The direction from the database to the client: first the login, then everything as it comes, but for the key by which a session is
/// cancelled.
struct PostgresDownstream: Sendable {
    private static let beforeLogin = Set("RENv".utf8)
    /// Backend messages of a session that has begun.
    private static let afterLogin = Set("SKZENTDCInt123sGHWdcAVv".utf8)

    let session: PostgresSession
    let source: NIOAsyncChannelInboundStream<ByteBuffer>
    let database: NIOAsyncChannelOutboundWriter<ByteBuffer>
    let client: NIOAsyncChannelOutboundWriter<ByteBuffer>

    /// Runs until the database closes. `ready` is called once the client may speak.
    func run(startup message: ByteBuffer, _ login: PostgresLogin, _ startup: PostgresStartup, ready: () -> Void) async throws {
        var reader = source.makeAsyncIterator()
        var frames = PostgresFrames(.init(allowed: Self.beforeLogin, held: Self.beforeLogin, longestHeld: PostgresLogin.longestMessage))
        try await database.write(message)
        try await logIn(login, &frames, &reader)

        var welcome = ByteBuffer()
        if startup.wantsNewer { welcome.writeImmutableBuffer(PostgresMessage.negotiateVersion(unknownOptions: startup.protocolOptions)) }
        welcome.writeImmutableBuffer(PostgresMessage.authenticationOK)
        try await client.write(welcome)
        ready()
        frames.rules = .init(
            allowed: Self.afterLogin, held: [UInt8(ascii: "K")], noted: [UInt8(ascii: "E"), UInt8(ascii: "Z")], longestHeld: 1_024)
        try await relay(&frames, &reader)
    }

    private func logIn(
        _ login: PostgresLogin, _ frames: inout PostgresFrames, _ reader: inout NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    ) async throws {
        var login = login
        while true {
            while case .held(let type, let message)? = try frames.next() {
                switch try login.receive(type, message) {
                case .send(let answer): try await database.write(answer)
                case .done: return
                case nil: break
                }
            }
            guard let bytes = try await reader.next() else {
                throw PostgresRefusal.unreachable("the database closed the connection during the login")
            }
            frames.append(bytes)
        }
    }

    private func relay(
        _ frames: inout PostgresFrames, _ reader: inout NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    ) async throws {
        let totals = session.totals
        var key: PostgresCancelKey?
        defer { if let key { session.owner.cancelKeys.remove(key) } }
        var saidFarewell = false
        while true {
            while let piece = try frames.next() {
                totals.mayAddressClient = false
                switch piece {
                case .pass(let bytes, let noted):
                    let errors = noted.count { $0 == UInt8(ascii: "E") }
                    if let last = noted.last { saidFarewell = last == UInt8(ascii: "E") }
                    totals.count(received: bytes.readableBytes, errors: errors)
                    try await client.write(bytes)
                case .held(_, let message):
                    guard key == nil, let process: UInt32 = message.getInteger(at: message.readerIndex + 5), message.readableBytes == 13,
                        let secret: UInt32 = message.getInteger(at: message.readerIndex + 9)
                    else { throw PostgresRefusal.protocolViolation("the database's key for cancel requests has no place or not 8 bytes") }
                    let own = session.owner.cancelKeys.add(PostgresCancelKey(process: process, secret: secret))
                    key = own
                    try await client.write(PostgresMessage.backendKey(own))
                }
                totals.mayAddressClient = frames.passing == 0
            }
            guard let bytes = try await reader.next() else { break }
            frames.append(bytes)
        }
        if totals.saidGoodbye { return totals.end(.client) }
        totals.end(.upstream)
        // A database that ends a session says why; one that dies does not.
        if !saidFarewell, !Task.isCancelled {
            throw PostgresRefusal(
                code: "08006", message: "postern: the database closed the connection",
                hint: "connect again; a statement that ran may or may not have taken effect")
        }
    }
}
