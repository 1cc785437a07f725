import Foundation
import PosternCore
@testable import PosternStore
import PosternTestKit
import Testing

#if canImport(Glibc)
import Glibc
#endif

/// The process dies at any instruction: what was acknowledged is there, what was not is there whole or not at all.
@Suite(.serialized) struct CrashTests {
    private typealias Make = StoreFixtures
    private static let writers = 8
    private static let rowsEach = 3

    /// One settlement: three rows and the next revision of the work item.
    private static func settlement(_ session: String, _ round: Int) -> Settlement {
        let start = round * rowsEach
        var work = Make.work(session)
        work.revision = round + 1
        return Make.settlement(session, after: start, (1...rowsEach).map { Make.row(start + $0, bytes: 700) }, work: work)
    }

    private static func makeSessions(_ store: PosternStore) async throws {
        for writer in 0..<writers { try await store.create(Make.session("s\(writer)"), rows: [], work: Make.work("s\(writer)")) }
    }

    /// Holds a database that was left behind against the number of settlements that each writer was told of.
    private static func examine(_ path: String, acknowledged: [Int]) async throws {
        let store = try await PosternStore.open(path: path)
        defer { try? store.close() }
        #expect(try await store.check() == [])
        for (writer, rounds) in acknowledged.enumerated() {
            let rows = try await store.rows(session: "s\(writer)", after: 0, limit: .everything)
            #expect(rows.count % rowsEach == 0, "half a settlement")
            let stored = rows.count / rowsEach
            // One more may have happened without an answer.
            #expect(stored >= rounds && stored <= rounds + 1, "\(stored) settlements are stored, \(rounds) were acknowledged")
            #expect(try await store.work("s\(writer)")?.revision == stored)
            #expect(try await store.session("s\(writer)")?.lastSequence == rows.count)
        }
    }

    /// Writes until a random one of the acknowledged settlements, then kills its own process. Each acknowledgement is a byte in the file
    /// of its writer.
    private static func writeUntilKilled(_ folder: String) async throws {
        let store = try await PosternStore.open(path: folder + "/postern.db")
        let fatal = Int.random(in: 20...400)
        let acknowledged = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask {
                    let file = open(folder + "/\(writer)", O_WRONLY | O_CREAT | O_APPEND, 0o600)
                    for round in 0... {
                        try await store.settle(settlement("s\(writer)", round))
                        write(file, "x", 1)
                        if acknowledged.next() == fatal { kill(getpid(), SIGKILL) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: 1...6) func killed(_ attempt: Int) async throws {
        try await withFolder { folder in
            let store = try await PosternStore.open(path: folder + "/postern.db")
            try await Self.makeSessions(store)
            try store.close()
            await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
                try await CrashTests.writeUntilKilled(folder)
            }
            let acknowledged = (0..<Self.writers).map { (try? Data(contentsOf: URL(fileURLWithPath: folder + "/\($0)")).count) ?? 0 }
            #expect(acknowledged.reduce(0, +) >= 20)
            try await Self.examine(folder + "/postern.db", acknowledged: acknowledged)
        }
    }

    /// The files as they lie on the disk at a random moment, as after a loss of power, cut off inside the last write.
    @Test func copiedMidFlight() async throws {
        try await withFolder { folder in
            let store = try await PosternStore.open(path: folder + "/postern.db")
            defer { try? store.close() }
            try await Self.makeSessions(store)
            let counts = (0..<Self.writers).map { _ in Counter() }
            let writers = (0..<Self.writers).map { writer in
                Task {
                    var round = 0
                    while !Task.isCancelled {
                        try await store.settle(Self.settlement("s\(writer)", round))
                        round = counts[writer].next()
                    }
                }
            }
            for copy in 1...8 {
                let target = counts[0].value + 5
                while counts[0].value < target { await Task.yield() }
                let acknowledged = counts.map(\.value)
                // The log is copied last: what is added to it in between is what a crash a moment later would leave.
                for suffix in ["", "-wal"] {
                    try FileManager.default.copyItem(atPath: folder + "/postern.db" + suffix, toPath: folder + "/copy\(copy).db" + suffix)
                }
                let left = try await PosternStore.open(path: folder + "/copy\(copy).db")
                #expect(try await left.check() == [])
                for (writer, rounds) in acknowledged.enumerated() {
                    let rows = try await left.session("s\(writer)")?.lastSequence ?? 0
                    #expect(rows % Self.rowsEach == 0 && rows / Self.rowsEach >= rounds)
                    #expect(try await left.work("s\(writer)")?.revision == rows / Self.rowsEach)
                }
                try left.close()
            }
            for writer in writers { writer.cancel() }
            for writer in writers { try await writer.value }
        }
    }
}
