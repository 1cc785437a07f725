import PosternJSON
import PosternMCP
import SeededRandom
import Testing

@Suite struct DemultiplexerTests {
    private func answer(_ id: Int64) -> JSONRPCMessage { .response(id: .number(id), result: ["id": .int(id)]) }

    @Test func answersGoToTheirRequestsInAnyOrder() {
        // Every order of four answers, with every set of them given up before.
        let ids: [Int64] = [1, 2, 3, 4]
        for order in permutations(ids) {
            for mask in 0..<16 {
                var demultiplexer = Demultiplexer()
                for id in ids { #expect(demultiplexer.sent(.number(id)) == true) }
                let given = ids.filter { mask & 1 << Int($0 - 1) != 0 }
                for id in given { demultiplexer.retire(.number(id)) }
                for id in order {
                    let action = demultiplexer.received(answer(id))
                    #expect(action == (given.contains(id) ? .late(.number(id)) : .answer(.number(id), answer(id))))
                    // Not twice.
                    #expect(demultiplexer.received(answer(id)) == .stray)
                }
                #expect(demultiplexer.waiting.isEmpty)
            }
        }
    }

    private func permutations(_ values: [Int64]) -> [[Int64]] {
        guard let first = values.first else { return [[]] }
        return permutations(Array(values.dropFirst())).flatMap { rest in
            (0...rest.count).map { rest[..<$0] + [first] + rest[$0...] }.map(Array.init)
        }
    }

    @Test func anIDIsNotUsedWhileItsAnswerMayCome() {
        var demultiplexer = Demultiplexer()
        #expect(demultiplexer.sent(.number(1)) == true)
        #expect(demultiplexer.sent(.number(1)) == false)
        demultiplexer.retire(.number(1))
        #expect(demultiplexer.sent(.number(1)) == false)
        #expect(demultiplexer.sent(.text("1")) == true, "another id")
        _ = demultiplexer.received(answer(1))
        #expect(demultiplexer.sent(.number(1)) == true)
    }

    @Test func theServersOwnMessages() {
        var demultiplexer = Demultiplexer()
        _ = demultiplexer.sent(.number(1))
        #expect(demultiplexer.received(.request(id: .number(1), method: "ping", params: nil)) == .reply(.response(id: .number(1), result: [:])))
        let notice = JSONRPCMessage.notification(method: "n", params: nil)
        #expect(demultiplexer.received(notice) == .notify(notice))
        #expect(demultiplexer.received(.failure(id: nil, error: RPCError(code: 1, message: "m"))) == .stray)
        #expect(demultiplexer.ended() == [.number(1)] && demultiplexer.waiting.isEmpty)
    }

    /// Against a model: a list of what waits and what was given up.
    @Test func anyOrderOfEventsKeepsToTheModel() {
        for seed in 0..<300 {
            var random = SeededGenerator(seed: UInt64(seed))
            var demultiplexer = Demultiplexer()
            var (waiting, given): (Set<Int64>, Set<Int64>) = ([], [])
            for _ in 0..<60 {
                let id = Int64.random(in: 0..<6, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0:
                    let isFree = !waiting.contains(id) && !given.contains(id)
                    #expect(demultiplexer.sent(.number(id)) == isFree, "seed \(seed)")
                    if isFree { waiting.insert(id) }
                case 1:
                    demultiplexer.retire(.number(id))
                    if waiting.remove(id) != nil { given.insert(id) }
                default:
                    let expected: Demultiplexer.Action =
                        waiting.contains(id) ? .answer(.number(id), answer(id)) : given.contains(id) ? .late(.number(id)) : .stray
                    #expect(demultiplexer.received(answer(id)) == expected, "seed \(seed)")
                    waiting.remove(id)
                    given.remove(id)
                }
            }
            #expect(demultiplexer.waiting == Set(waiting.map(RequestID.number)), "seed \(seed)")
        }
    }
}

@Suite struct LineReaderTests {
    private static let text = Array("{\"a\":1}\r\n\n{\"b\":2}\n\r\n{\"ü\":\"\\n\"}\nrest".utf8)
    private static let lines = ["{\"a\":1}", "{\"b\":2}", "{\"ü\":\"\\n\"}"].map { Array($0.utf8) }

    @Test func everySplitGivesTheSameLines() throws {
        for first in 0...Self.text.count {
            for second in first...Self.text.count {
                var reader = LineReader(limit: 100)
                var lines = try reader.read(Array(Self.text[..<first]))
                lines += try reader.read(Array(Self.text[first..<second]))
                lines += try reader.read(Array(Self.text[second...]))
                #expect(lines == Self.lines, "split at \(first) and \(second)")
            }
        }
    }

    @Test func aLineIsBoundedWhateverTheSplits() {
        for size in 1...20 {
            var reader = LineReader(limit: 10)
            var rest = Array("1234567890\n12345678901\n".utf8)[...]
            var lines: [[UInt8]] = []
            let error = #expect(throws: LineReader.LineTooLong.self) {
                while !rest.isEmpty {
                    lines += try reader.read(Array(rest.prefix(size)))
                    rest = rest.dropFirst(size)
                }
            }
            #expect(error?.limit == 10 && (lines.count == 1 || size > 10))
        }
    }
}
