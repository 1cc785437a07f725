import PosternAudit
import PosternJSON
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite struct DiskTests {
    /// The disk fills up: what was begun is still told, nothing new begins, and the log is good.
    private func fill(_ log: AuditLog, _ fixture: LogFixture) async -> (begun: [String], error: FileError?) {
        var begun: [String] = []
        for call in 0..<100_000 {
            do {
                try await log.append(fixture.intent("sevt_\(call)", session: "sesn_\(call % 50)"), durable: true)
                begun.append("sevt_\(call)")
                // The last five are still at work.
                if call >= 5 { try await log.append(fixture.outcome("sevt_\(call - 5)", session: "sesn_\((call - 5) % 50)"), durable: false) }
            } catch { return (begun, error) }
        }
        return (begun, nil)
    }

    @Test func aFullDiskStopsWorkAndTellsHowItEnded() async throws {
        var fixture = LogFixture()
        fixture.settings.reserveBytes = 20_000
        let log = try fixture.open()
        fixture.disk.limit(60_000)
        let (begun, error) = await fill(log, fixture)
        #expect(begun.count > 10 && error?.description.contains("the disk is full") == true && error?.session == nil)
        for call in begun.indices.suffix(5) { try await log.append(fixture.outcome("sevt_\(call)", session: "sesn_\(call % 50)"), durable: true) }
        #expect(fixture.kinds.contains("space_exhausted"))
        fixture.disk.limit(nil)
        let again = LogFixture(fixture.disk.afterCrash(losesPower: false))
        await (try again.open()).finish()
        let report = again.report()
        #expect(report.isGood && report.open == 0, "\(report.finding?.description ?? "")")
    }

    @Test func whenNothingCanBeWrittenNothingMoreIsTaken() async throws {
        var fixture = LogFixture()
        fixture.settings.reserveBytes = 0
        let log = try fixture.open()
        try await log.append(fixture.intent("sevt_1"), durable: true)
        fixture.disk.stop(at: fixture.disk.steps + 1)
        await #expect(throws: FileError.self) { try await log.append(fixture.outcome("sevt_1"), durable: true) }
        fixture.disk.stop(at: .max)
        // The disk is well again; the log is not.
        await #expect(throws: FileError.self) { try await log.append(fixture.intent("sevt_2"), durable: true) }
    }

    #if os(Linux)
    /// On a real, small file system. Needs root, to mount it.
    @Test(.enabled(if: geteuid() == 0)) func aRealDiskFillsUp() async throws {
        let folder = try RealFolder()
        try #require(mount("tmpfs", folder.path, "tmpfs", 0, "size=1m") == 0)
        defer { umount2(folder.path, Int32(MNT_DETACH)) }
        var settings = AuditSettings()
        settings.reserveBytes = 128 << 10
        let path = folder.path + "/audit.jsonl"
        let fixture = LogFixture()
        do {
            let log = try AuditLog(path: path, key: LogFixture.key, settings: settings)
            let (begun, error) = await fill(log, fixture)
            #expect(begun.count > 500 && error?.description.contains("the disk is full") == true)
            for call in begun.indices.suffix(5) { try await log.append(fixture.outcome("sevt_\(call)", session: "sesn_\(call % 50)"), durable: true) }
            await log.finish()
        }
        let bytes = try #require(try SmallFile.read(path))
        let report = LogFixture.verify([("audit.jsonl", bytes)])
        #expect(
            report.isGood && report.kinds["space_exhausted"] == 1 && report.unknown == 0 && report.unsigned == 0,
            "\(report.finding?.description ?? "")")
        // A worker that starts there again is refused: there is no room to reserve.
        #expect(throws: FileError.self) { try AuditLog(path: path, key: LogFixture.key, settings: settings) }
    }
    #endif

    @Test func filesAreThisUsersAloneAndHeldByOne() async throws {
        let folder = try RealFolder()
        let path = folder.path + "/audit.jsonl"
        var settings = AuditSettings()
        settings.maximumFileBytes = 4000
        let log = try AuditLog(path: path, key: LogFixture.key, settings: settings)
        let fixture = LogFixture()
        for call in 0..<40 { try await log.append(fixture.intent("sevt_\(call)"), durable: true) }
        #expect(throws: FileError.self) { try AuditLog(path: path, key: LogFixture.key) }
        await log.finish()
        let names = try SystemDisk().names(in: folder.path).filter { !$0.hasPrefix(".") }
        #expect(names.filter { $0.hasPrefix("audit-0") }.count >= 3 && names.contains("audit.signing-key"))
        for name in names {
            var status = stat()
            #expect(stat("\(folder.path)/\(name)", &status) == 0 && status.st_mode & 0o777 == 0o600, "\(name)")
        }
        let files = try AuditPaths(active: path).all()
        let report = LogFixture.verify(try files.map { ($0, try SmallFile.read($0) ?? []) })
        #expect(report.isGood && report.files == files.count && report.rootKey == log.newRootKey)
    }

    @Test func aClosedFileIsNeverReplaced() throws {
        let folder = try RealFolder()
        try SmallFile.write([1], to: folder.path + "/a")
        try SmallFile.write([2], to: folder.path + "/b")
        #expect(throws: FileError.self) { try SystemDisk().rename(folder.path + "/a", to: folder.path + "/b") }
        #expect(try SmallFile.read(folder.path + "/b") == [2])
    }

    @Test func manyWritersLoseNothingAndKeepTheChain() async throws {
        let folder = try RealFolder()
        let log = try AuditLog(path: folder.path + "/audit.jsonl", key: LogFixture.key)
        let fixture = LogFixture()
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<500 { group.addTask { try? await log.append(fixture.intent("sevt_\(index)"), durable: index % 2 == 0) } }
        }
        await log.finish()
        let report = LogFixture.verify([("audit.jsonl", try #require(try SmallFile.read(folder.path + "/audit.jsonl")))])
        #expect(report.isGood && report.kinds["intent"] == 500 && report.kinds["unknown"] == 500)
    }
}
