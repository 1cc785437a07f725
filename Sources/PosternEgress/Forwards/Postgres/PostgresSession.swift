import NIOCore
import PosternPolicy

/// One connection through a PostgreSQL forward: greeting, login in the client's place, relay.
struct PostgresSession: Sendable {
    let owner: PostgresForward
    let channel: any Channel
    let connection: Int
    let totals = ForwardTotals()

    private typealias Reader = NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    typealias Writer = NIOAsyncChannelOutboundWriter<ByteBuffer>

    init(_ owner: PostgresForward, _ channel: any Channel, _ connection: Int) {
        self.owner = owner
        self.channel = channel
        self.connection = connection
    }

    func run() async {
        do {
            let client = try await ByteChannel.taking(channel)
            try await client.executeThenClose { inbound, outbound in
                var reader = inbound.makeAsyncIterator()
                do {
                    try await converse(&reader, outbound)
                } catch let refusal as PostgresRefusal {
                    totals.end(.refused(refusal.description))
                    if totals.mayAddressClient { try? await outbound.write(refusal.errorResponse) }
                }
            }
        } catch {
            totals.end(.refused(printable("\(error)")))
        }
        channel.close(promise: nil)
        if let outcome = totals.outcome { await owner.audit.ended(outcome, forward: owner.forward, connection: connection) }
    }

    private func converse(_ reader: inout Reader, _ client: Writer) async throws {
        var greeting = PostgresGreeting()
        let timer = channel.closing(after: owner.options.loginTime)
        defer { timer.cancel() }
        while true {
            switch try greeting.next() {
            case .decline: try await client.write(ByteBuffer(bytes: [UInt8(ascii: "N")]))
            case .cancel(let key): return try await cancel(key)
            case .start(let startup):
                timer.cancel()
                return try await start(startup, rest: greeting.rest, &reader, client)
            case nil:
                guard let bytes = try await reader.next() else { return }
                greeting.append(bytes)
            }
        }
    }

    /// Passes a cancel on if its key is of a living session of this forward. The client is never told (PostgreSQL documentation, "Canceling
    /// Requests in Progress"): it sees the connection end.
    private func cancel(_ key: PostgresCancelKey) async throws {
        guard let real = owner.cancelKeys.real(key) else { return }
        try await intend(.cancel)
        totals.begin()
        let upstream = try await owner.connect()
        try await upstream.channel.executeThenClose { inbound, outbound in
            let timer = upstream.channel.channel.closing(after: owner.options.loginTime)
            defer { timer.cancel() }
            try await outbound.write(PostgresMessage.cancelRequest(real))
            // The database closes once the request is processed.
            for try await _ in inbound {}
        }
    }

    private func start(_ startup: PostgresStartup, rest: ByteBuffer, _ reader: inout Reader, _ client: Writer) async throws {
        let (message, dropped) = try startup.pinned(
            role: owner.postgres.role, database: owner.postgres.database, allowing: owner.options.extraParameters)
        try await intend(.connect(dropped: dropped))
        totals.begin()
        let password: SecretValue?
        do {
            password = try await owner.password()
        } catch {
            throw PostgresRefusal.login("the password of role \"\(owner.postgres.role)\" is not available: \(printable("\(error)"))")
        }
        let upstream = try await owner.connect()
        try await upstream.channel.executeThenClose { fromDatabase, toDatabase in
            let login = PostgresLogin(role: owner.postgres.role, password: password, endPoint: upstream.endPoint, nonce: Self.nonce())
            let down = PostgresDownstream(session: self, source: fromDatabase, database: toDatabase, client: client)
            let ready = Handoff<Void>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    // The client's reader waits for the login and, after it, for the client: the end of this side ends both.
                    defer {
                        ready.fail()
                        channel.close(mode: .input, promise: nil)
                    }
                    let timer = upstream.channel.channel.closing(after: owner.options.loginTime)
                    try await down.run(startup: message, login, startup) {
                        timer.cancel()
                        ready.give(())
                    }
                }
                do {
                    if await ready.value() != nil {
                        try await PostgresUpstream(session: self, database: toDatabase).run(rest: rest, &reader)
                        totals.end(.client)
                    }
                } catch {
                    group.cancelAll()
                    _ = try? await group.waitForAll()
                    throw error
                }
                // A client that is gone needs no answer; an upstream that is gone has finished already.
                if totals.isEnded { group.cancelAll() }
                try await group.waitForAll()
            }
        }
    }

    /// Records what is about to be done, or refuses to do it.
    func intend(_ intent: ForwardIntent) async throws {
        do {
            try await owner.audit.intend(intent, forward: owner.forward, connection: connection)
        } catch is CancellationError {
            throw CancellationError()
        } catch let refusal as PostgresRefusal {
            throw refusal
        } catch {
            throw PostgresRefusal(code: "58030", message: "postern: not done, because it could not be recorded: \(printable("\(error)"))")
        }
    }

    /// Counts bytes that are about to go to the database.
    func spend(_ bytes: Int) async throws {
        do {
            try await owner.audit.spend(bytes, forward: owner.forward, connection: connection)
        } catch let spent as ForwardBudgetSpent {
            throw PostgresRefusal(code: "53400", message: "postern: \(spent.reason)", hint: spent.remedy)
        }
        totals.count(sent: bytes)
    }

    /// 18 random bytes in base64, as libpq makes them.
    private static func nonce() -> String {
        SCRAMClient.base64((0..<18).map { _ in UInt8.random(in: .min ... .max) })
    }
}
