import NIOCore
import PosternPolicy
import Testing

@testable import PosternEgress

/// Attacks on what reads PostgreSQL messages: lengths that lie, types out of place, messages split at every byte.
@Suite struct ForwardPostgresWireTests {
    private static let rules = PostgresFrames.Rules(
        allowed: Set("QPBDX".utf8), held: Set("QP".utf8), noted: [UInt8(ascii: "X")], longestHeld: 1_000)

    private static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
        let length = UInt32(body.count + 4)
        return [type.asciiValue ?? 0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> $0) } + body
    }

    private static func read(_ chunks: [[UInt8]]) throws -> (passed: [UInt8], held: [[UInt8]], order: String) {
        var frames = PostgresFrames(rules)
        var (passed, held, order) = ([UInt8](), [[UInt8]](), "")
        for chunk in chunks {
            frames.append(ByteBuffer(bytes: chunk))
            while let piece = try frames.next() {
                switch piece {
                case .pass(let bytes, _):
                    passed += Array(bytes.readableBytesView)
                    if order.last != "-" { order += "-" }
                case .held(let type, let message):
                    held.append(Array(message.readableBytesView))
                    order.unicodeScalars.append(UnicodeScalar(type))
                }
            }
        }
        return (passed, held, order)
    }

    @Test func everySplitGivesTheSame() throws {
        let messages: [[UInt8]] = [
            Self.message("B", Array(repeating: 7, count: 40)), Self.message("Q", Array("SELECT 1\0".utf8)), Self.message("D", []),
            Self.message("P", Array("s\0SELECT 2\0\0\0".utf8)), Self.message("B", [1]), Self.message("X", []),
        ]
        let stream = messages.flatMap { $0 }
        let whole = try Self.read([stream])
        #expect(whole.order == "-Q-P-")
        #expect(whole.held == [messages[1], messages[3]])
        #expect(whole.passed == messages[0] + messages[2] + messages[4] + messages[5])
        for cut in 0...stream.count {
            let split = try Self.read([Array(stream[..<cut]), Array(stream[cut...])])
            #expect(split.held == whole.held && split.passed == whole.passed, "cut at \(cut)")
        }
        let bytes = try Self.read(stream.map { [$0] })
        #expect(bytes.held == whole.held && bytes.passed == whole.passed)
    }

    @Test(arguments: [0, 1, 2, 3, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] as [UInt32])
    func lengthsThatLieAreRefused(_ length: UInt32) {
        for type in ["Q", "B"] as [Character] {
            let bytes = [type.asciiValue ?? 0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> $0) }
            #expect(throws: PostgresRefusal.self) { try Self.read([bytes + [0, 0, 0, 0]]) }
        }
    }

    @Test func onlyKnownTypesPass() {
        for type in UInt8.min...UInt8.max where !Self.rules.allowed.contains(type) {
            #expect(throws: PostgresRefusal.self) { try Self.read([[type, 0, 0, 0, 4]]) }
        }
    }

    @Test func aHugeMessageIsNeverKept() throws {
        var frames = PostgresFrames(Self.rules)
        // 512 MiB announced; what comes is passed at once.
        frames.append(ByteBuffer(bytes: [UInt8(ascii: "D"), 0x20, 0, 0, 0]))
        var passed = 0
        let chunk = ByteBuffer(repeating: 1, count: 1 << 20)
        for _ in 0..<200 {
            frames.append(chunk)
            while case .pass(let bytes, _)? = try frames.next() { passed += bytes.readableBytes }
            #expect(frames.waiting == 0)
        }
        #expect(passed == 5 + 200 << 20)
        // A statement is kept, so it is bounded, by what its head says.
        var statements = PostgresFrames(Self.rules)
        statements.append(ByteBuffer(bytes: [UInt8(ascii: "Q"), 0, 0, 4, 0]))
        #expect(throws: PostgresRefusal.self) { try statements.next() }
    }

    @Test func statementsAreReadAsTheDatabaseReadsThem() throws {
        let reader = PostgresStatementReader(digestKey: Array("k".utf8), keepsText: true)
        func statement(_ type: Character, _ body: String) throws -> PostgresStatement {
            try reader.statement(of: ByteBuffer(bytes: Self.message(type, Array(body.utf8))), type: type.asciiValue ?? 0)
        }
        let query = try statement("Q", "DROP TABLE x\0")
        #expect(query.kind == .query && query.keyword == "DROP" && query.size == 12 && query.text == "DROP TABLE x")
        #expect(try statement("P", "name\0update y\0\0\0").keyword == "UPDATE")
        #expect(try statement("Q", "DROP TABLE x\0").digest == query.digest)
        #expect(try statement("Q", "DROP TABLE y\0").digest != query.digest)
        let other = PostgresStatementReader(digestKey: Array("other".utf8), keepsText: false)
        let same = try other.statement(of: ByteBuffer(bytes: Self.message("Q", Array("DROP TABLE x\0".utf8))), type: UInt8(ascii: "Q"))
        #expect(same.digest != query.digest && same.digest.count == 64 && same.text == nil)
        // A second text behind the first would run unseen if the database read on.
        #expect(throws: PostgresRefusal.self) { try statement("Q", "SELECT 1\0DROP TABLE x\0") }
        #expect(throws: PostgresRefusal.self) { try statement("Q", "SELECT 1") }
        #expect(throws: PostgresRefusal.self) { try statement("P", "name\0SELECT 1") }
        #expect(throws: PostgresRefusal.self) { try statement("F", "\0") }
        #expect(try statement("F", "\0\0\0\u{8}\0\0").keyword == "8")
    }

    @Test(arguments: [
        ("select 1", "SELECT"), ("  \n\t(( SELECT 1", "SELECT"), ("-- note\nInsert into x", "INSERT"), ("/* a /* b */ c */ WITH x", "WITH"),
        ("/* open", ""), ("", ""), (";;COPY t FROM STDIN", "COPY"), ("--", ""), ("/**/-- x\r\nDO $$", "DO"), ("1", ""), ("/*/ */ SET x", "SET"),
    ])
    func theFirstWordIsFound(_ text: String, _ word: String) {
        #expect(PostgresStatementReader.keyword(Array(text.utf8)) == word)
    }

    @Test func aGreetingIsDeclinedStartedOrCancelled() throws {
        func next(_ bytes: [UInt8]) throws -> [PostgresGreeting.Action] {
            var greeting = PostgresGreeting()
            var actions: [PostgresGreeting.Action] = []
            for byte in bytes {
                greeting.append(ByteBuffer(bytes: [byte]))
                while let action = try greeting.next() { actions.append(action) }
            }
            return actions
        }
        let ssl: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 47]
        let gss: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 48]
        let parameters = Array("user\0agent\0database\0shop\0_pq_.x\01\0\0".utf8)
        let startup = [0, 0, 0, UInt8(8 + parameters.count), 0, 3, 0, 2] + parameters
        let actions = try next(gss + ssl + startup)
        #expect(actions.count == 3 && actions[0] == .decline && actions[1] == .decline)
        guard case .start(let start) = actions[2] else { return #expect(Bool(false)) }
        #expect(start["user"] == "agent" && start.wantsNewer && start.protocolOptions == ["_pq_.x"])
        #expect(try next([0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2]) == [.cancel(PostgresCancelKey(process: 1, secret: 2))])
        // Twice, TLS at once, protocol 2, too long, too short, cut, double, trailing.
        for bad in [
            ssl + ssl, [0x16, 3, 1, 2, 0, 1, 0, 1], [0, 0, 0, 9, 0, 2, 0, 0, 0], [0, 0, 0x40, 0, 0, 3, 0, 0], [0, 0, 0, 7, 0, 3, 0],
            [0, 0, 0, 12, 0, 3, 0, 0] + Array("user".utf8), [0, 0, 0, 20, 0, 3, 0, 0] + Array("a\0b\0a\0c\0\0".utf8) + [0, 0, 0],
            [0, 0, 0, 17, 0, 3, 0, 0] + Array("a\0b\0a\0c\0\0".utf8), [0, 0, 0, 12, 4, 210, 22, 47, 0, 0, 0, 0],
        ] as [[UInt8]] {
            #expect(throws: PostgresRefusal.self, "\(bad)") { try next(bad) }
        }
    }

    @Test func theDatabasesErrorsAreReadSafely() {
        let body = Array("SFATAL\0C28P01\0Mno \u{1B}[31mway\0\0".utf8)
        let (code, text) = PostgresRefusal.reading(errorResponse: ByteBuffer(bytes: Self.message("E", body)))
        #expect(code == "28P01" && !text.contains("\u{1B}"))
        #expect(PostgresRefusal.reading(errorResponse: ByteBuffer(bytes: Self.message("E", Array("C'; --\0".utf8)))).code == "XX000")
        #expect(PostgresRefusal.reading(errorResponse: ByteBuffer(bytes: [0x45])).code == "XX000")
    }
}
