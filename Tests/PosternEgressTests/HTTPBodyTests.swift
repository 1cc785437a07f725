import NIOCore
import PosternHTTP
import Synchronization
import Testing

/// A connection that says one thing after the other, then what it was told to do.
private final class ScriptedSource: ByteSource {
    enum End { case closed, silent, again(String) }

    private let pieces: Mutex<[String]>
    private let end: End
    let asked = Mutex<[TimeAmount?]>([])

    init(_ pieces: [String], then end: End = .closed) {
        self.pieces = Mutex(pieces)
        self.end = end
    }

    func read(within time: TimeAmount?) async throws -> ByteBuffer? {
        asked.withLock { $0.append(time) }
        if let piece = pieces.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return ByteBuffer(string: piece) }
        switch end {
        case .closed: return nil
        case .silent: throw TimedOut()
        case .again(let piece): return ByteBuffer(string: piece)
        }
    }
}

@Suite("a body, read as a whole")
struct HTTPBodyTests {
    private static let soon = NIODeadline.now() + .minutes(1)

    private func read(_ source: ScriptedSource, _ framing: BodyFraming, most: Int = 8, until: NIODeadline = soon) async throws -> String {
        var reader = HTTPMessageReader(source)
        return String(decoding: try await reader.body(framing, most: most, until: until), as: UTF8.self)
    }

    @Test("a body with as many bytes as are taken comes whole, in whatever pieces, and what follows it stays")
    func whole() async throws {
        let wire = Array("3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\nnext".utf8)
        for size in 1...wire.count {
            let pieces = stride(from: 0, to: wire.count, by: size).map { String(decoding: wire[$0..<min($0 + size, wire.count)], as: UTF8.self) }
            var reader = HTTPMessageReader(ScriptedSource(pieces, then: .silent))
            #expect(try await reader.body(.chunked, most: 8, until: Self.soon) == Array("abcdefgh".utf8))
            #expect("next".hasPrefix(String(buffer: reader.buffer)))
        }
        #expect(try await read(ScriptedSource(["abcd", "efgh"], then: .silent), .length(8)) == "abcdefgh")
        #expect(try await read(ScriptedSource(["abcd", "efgh"]), .untilClose) == "abcdefgh")
        #expect(try await read(ScriptedSource([], then: .silent), .none) == "")
    }

    @Test("a length that is too large is refused before anything is read")
    func lengthTooLarge() async throws {
        let source = ScriptedSource(["abcdefghi"])
        await #expect(throws: BodyTooLarge(most: 8)) { try await read(source, .length(9)) }
        #expect(source.asked.withLock { $0.isEmpty })
    }

    @Test("a body that becomes too large is refused there, however much would come", .timeLimit(.minutes(1)))
    func piecesTooLarge() async throws {
        await #expect(throws: BodyTooLarge(most: 8)) { try await read(ScriptedSource([], then: .again("2\r\nab\r\n")), .chunked) }
        await #expect(throws: BodyTooLarge(most: 8)) { try await read(ScriptedSource([], then: .again("abc")), .untilClose) }
        await #expect(throws: BodyTooLarge(most: 8)) { try await read(ScriptedSource(["9\r\nabcdefghi\r\n0\r\n\r\n"]), .chunked) }
    }

    @Test("a body that ends early is no body", arguments: [["abc"], []])
    func endsEarly(pieces: [String]) async throws {
        await #expect(throws: HTTPRefusal.self) { try await read(ScriptedSource(pieces), .length(8)) }
        await #expect(throws: HTTPRefusal.self) { try await read(ScriptedSource(pieces.map { "8\r\n\($0)" }), .chunked) }
    }

    @Test("a body that is not whole in time is given up, also where it trickles without end", .timeLimit(.minutes(1)))
    func tooSlow() async throws {
        await #expect(throws: TimedOut.self) { try await read(ScriptedSource(["abc"], then: .silent), .length(8)) }
        let late = ScriptedSource(["abc"])
        await #expect(throws: TimedOut.self) { try await read(late, .length(8), until: .now() - .seconds(1)) }
        #expect(late.asked.withLock { $0.isEmpty })
        await #expect(throws: TimedOut.self) {
            try await read(ScriptedSource([], then: .again("a")), .untilClose, most: .max, until: .now() + .milliseconds(10))
        }
    }

    @Test("a read waits as long as the peer may be silent, and not beyond the deadline")
    func waits() async throws {
        for (idle, isIdle) in [(TimeAmount.seconds(2), true), (.hours(1), false)] {
            let source = ScriptedSource(["a", "b"])
            var reader = HTTPMessageReader(source)
            _ = try await reader.body(.untilClose, most: 8, idle: idle, until: .now() + .minutes(1))
            let asked = source.asked.withLock { $0.compactMap { $0 } }
            #expect(asked.count == 3 && asked.allSatisfy { isIdle ? $0 == idle : $0 <= .minutes(1) })
        }
    }
}
