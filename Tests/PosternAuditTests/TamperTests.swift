import PosternAudit
import PosternJSON
import Testing

/// Every change to a log is found. The counts are printed.
@Suite struct TamperTests {
    /// A log of a worker that stopped by itself: its last line is signed.
    private static func log(calls: Int, fileBytes: Int = 1 << 30, checkpointRecords: Int = 25) async throws -> LogFixture {
        var fixture = LogFixture()
        fixture.settings.maximumFileBytes = fileBytes
        fixture.settings.checkpointRecords = checkpointRecords
        fixture.settings.mirrorFolder = "/mirror"
        fixture.settings.flood.burst = 1_000_000
        let log = try fixture.open()
        for call in 0..<calls {
            try await log.append(fixture.intent("sevt_\(call)"), durable: true)
            try await log.append(fixture.outcome("sevt_\(call)"), durable: false)
        }
        await log.finish()
        return fixture
    }

    private static func mirror(_ fixture: LogFixture) throws -> CheckpointMirror {
        let path = try #require(fixture.disk.names.first { $0.hasPrefix("/mirror/") })
        var mirror = CheckpointMirror()
        for line in (fixture.disk[path] ?? []).split(separator: 0x0A) { try mirror.add(Array(line)) }
        return mirror
    }

    @Test func everyByteOfAHundredRecords() async throws {
        let fixture = try await Self.log(calls: 47)
        let (name, bytes) = try #require(fixture.files.first)
        let report = fixture.report()
        #expect(report.isGood && report.records >= 100 && report.unsigned == 0 && fixture.files.count == 1)

        let checker = Checker(files: [(name, bytes)])
        var (tried, found, named) = (0, 0, 0)
        for position in bytes.indices {
            // One bit, and now and then another byte altogether.
            for change in position % 4 == 0 ? [bytes[position] ^ 0x01, bytes[position] == 0x20 ? 0x21 : 0x20] : [bytes[position] ^ 0x01] {
                tried += 1
                guard let finding = checker.finding(byte: change, at: position, of: 0) else {
                    let near = String(decoding: bytes[max(0, position - 40)...position], as: UTF8.self)
                    Issue.record("not found: \(bytes[position]) as \(change) at the end of \(near)")
                    continue
                }
                found += 1
                // The bad record is the one that was changed; a lost newline joins it with the next.
                if abs(finding.line - checker.line(of: position, in: 0)) <= 1 { named += 1 }
            }
        }
        print("audit: every byte of \(report.records) records (\(bytes.count) bytes): \(found) of \(tried) changes found, \(named) named by line")
        #expect(found == tried && named == tried)
    }

    @Test func tenThousandPositionsOfALargeLog() async throws {
        let fixture = try await Self.log(calls: 2500, fileBytes: 400_000, checkpointRecords: 200)
        let files = fixture.files
        let report = fixture.report()
        #expect(report.isGood && files.count >= 4 && report.records > 5000)
        let checker = Checker(files: files)
        var random = SystemRandomNumberGenerator()
        var found = 0
        for _ in 0..<10_000 {
            let file = Int.random(in: files.indices, using: &random)
            let position = Int.random(in: files[file].bytes.indices, using: &random)
            let change = files[file].bytes[position] ^ UInt8.random(in: 1...255, using: &random)
            if checker.finding(byte: change, at: position, of: file) != nil { found += 1 }
        }
        let size = files.reduce(0) { $0 + $1.bytes.count }
        print("audit: random bytes of \(report.records) records in \(files.count) files (\(size) bytes): \(found) of 10000 changes found")
        #expect(found == 10_000)
    }

    @Test func linesRemovedSwappedAndDoubled() async throws {
        let fixture = try await Self.log(calls: 45, fileBytes: 12_000)
        let files = fixture.files
        #expect(files.count >= 3)
        var (tried, found) = (0, 0)
        func check(_ changed: [(name: String, bytes: [UInt8])]) {
            tried += 1
            if !LogFixture.verify(changed).isGood { found += 1 }
        }
        for file in files.indices {
            let lines = files[file].bytes.split(separator: 0x0A)
            func with(_ changed: [ArraySlice<UInt8>]) {
                var copy = files
                copy[file].bytes = changed.flatMap { $0 + [0x0A] }
                check(copy)
            }
            for index in lines.indices {
                // The end of the last file is for the mirror to hold.
                if file < files.count - 1 || index < lines.count - 1 { with(Array(lines[..<index] + lines[(index + 1)...])) }
                with(Array(lines[...index] + [lines[index]] + lines[(index + 1)...]))
                if index > 0 {
                    var swapped = lines
                    swapped.swapAt(index, index - 1)
                    with(swapped)
                }
            }
            if file < files.count - 1 { check(files.enumerated().filter { $0.offset != file }.map(\.element)) }
            if file > 0 {
                var swapped = files
                swapped.swapAt(file, file - 1)
                check(swapped)
            }
        }
        print("audit: lines and files removed, doubled, swapped: \(found) of \(tried) found")
        #expect(found == tried)
    }

    @Test func truncationShowsAgainstTheMirror() async throws {
        let fixture = try await Self.log(calls: 60, fileBytes: 20_000)
        let (files, mirror) = (fixture.files, try Self.mirror(fixture))
        let whole = fixture.report(.init(mirror: mirror))
        #expect(whole.isGood && whole.mirrored == mirror.count && mirror.count == whole.checkpoints)
        var (tried, found) = (0, 0)
        for file in files.indices {
            let lines = files[file].bytes.split(separator: 0x0A)
            for kept in 0..<lines.count {
                var cut = Array(files[...file])
                cut[file].bytes = lines[..<kept].flatMap { $0 + [0x0A] }
                if cut[file].bytes.isEmpty { cut.removeLast() }
                tried += 1
                let report = LogFixture.verify(cut, .init(mirror: mirror))
                if !report.isGood { found += 1 }
            }
        }
        print("audit: truncated at every line, given a mirror: \(found) of \(tried) found")
        #expect(found == tried)
    }

    @Test func anotherChainUnderTheSameNameShows() async throws {
        let (mine, other) = (try await Self.log(calls: 3), try await Self.log(calls: 3))
        let root = try #require(mine.report().rootKey)
        let pinned = mine.report(.init(rootKey: root))
        #expect(pinned.isGood && pinned.isPinned)
        let wrong = other.report(.init(rootKey: root))
        #expect(wrong.finding?.what.contains("not the pinned") == true && wrong.finding?.seq == 1)
        #expect(other.report(.init(mirror: try Self.mirror(mine))).finding?.what.contains("written anew") == true)
    }

    @Test func aFileCanBeFollowedByItself() async throws {
        let fixture = try await Self.log(calls: 60, fileBytes: 20_000)
        let later = Array(fixture.files.dropFirst())
        #expect(LogFixture.verify(later).finding?.what.contains("not with a genesis") == true)
        let report = LogFixture.verify(later, .init(allowsPartial: true))
        #expect(report.isGood && report.rootKey == nil && report.lastSeq == fixture.report().lastSeq)
    }
}

/// Checks one change at a time without reading what stands before it again: the verifier is a value, so its state before each line is kept.
private struct Checker {
    private struct Mark {
        var offset: Int
        var state: AuditVerifier
    }
    private let files: [(name: String, bytes: [UInt8])]
    private var marks: [[Mark]] = []

    init(files: [(name: String, bytes: [UInt8])]) {
        self.files = files
        var verifier = AuditVerifier()
        for file in files {
            verifier.begin(file: file.name)
            var own: [Mark] = []
            var start = 0
            while start < file.bytes.count, let newline = file.bytes[start...].firstIndex(of: 0x0A) {
                own.append(Mark(offset: start, state: verifier))
                verifier.feed(file.bytes[start...newline])
                start = newline + 1
            }
            verifier.end()
            marks.append(own)
        }
    }

    /// From 1.
    func line(of position: Int, in file: Int) -> Int { marks[file].partitioningIndex { $0.offset > position } }

    func finding(byte: UInt8, at position: Int, of file: Int) -> AuditFinding? {
        let index = line(of: position, in: file) - 1
        let mark = marks[file][index]
        var verifier = mark.state
        let end = index + 1 < marks[file].count ? marks[file][index + 1].offset : files[file].bytes.count
        var changed = Array(files[file].bytes[mark.offset..<end])
        changed[position - mark.offset] = byte
        verifier.feed(changed[...])
        // Line by line until it shows.
        for later in marks[file].dropFirst(index + 1) {
            if verifier.isDone { return verifier.finish().finding }
            let next = files[file].bytes[later.offset...].firstIndex(of: 0x0A) ?? files[file].bytes.count - 1
            verifier.feed(files[file].bytes[later.offset...next])
        }
        verifier.end()
        for other in files.dropFirst(file + 1) where !verifier.isDone {
            verifier.begin(file: other.name)
            verifier.feed(other.bytes[...])
            verifier.end()
        }
        return verifier.finish().finding
    }
}

extension Array {
    /// The first index at which the condition holds, in an array in which it holds from there on.
    fileprivate func partitioningIndex(_ condition: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
