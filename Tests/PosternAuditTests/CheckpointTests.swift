import Crypto
import PosternAudit
import PosternJSON
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite struct CheckpointTests {
    /// Whoever holds the present keys and can write every file makes the past say something else, in every way that there is.
    @Test func aThiefOfThePresentKeyForgesNothingOld() async throws {
        var fixture = LogFixture()
        fixture.settings.checkpointRecords = 5
        let log = try fixture.open()
        for call in 0..<12 {
            try await log.append(fixture.intent("sevt_\(call)"), durable: true)
            try await log.append(fixture.outcome("sevt_\(call)"), durable: true)
        }
        await log.finish()
        let root = try #require(log.newRootKey)
        let lines = fixture.lines
        let stolen = try Thief(keyFile: try #require(fixture.disk["/log/audit.signing-key"]))
        let checkpoints = lines.indices.filter { lines[$0]["kind"] == "checkpoint" }
        #expect(checkpoints.count >= 5)

        var (tried, found) = (0, 0)
        func check(_ changed: [JSON]) {
            tried += 1
            if !LogFixture.verify([("forged", changed.flatMap { $0.canonical + [0x0A] })], .init(rootKey: root)).isGood { found += 1 }
        }
        for victim in lines.indices where victim < (checkpoints.last ?? 0) {
            for way in Thief.Way.allCases {
                // What is signed again: every checkpoint after the record, or all of them.
                check(stolen.forge(lines, changing: victim, resigning: checkpoints.filter { $0 > victim }, way))
                check(stolen.forge(lines, changing: victim, resigning: checkpoints, way))
            }
        }
        print("audit: a thief of the present key rewrites the past: \(found) of \(tried) forgeries found")
        #expect(found == tried && tried > 100)
    }

    @Test func usedKeysAreErased() async throws {
        var fixture = LogFixture()
        fixture.settings.checkpointRecords = 1
        let log = try fixture.open()
        for call in 0..<10 { try await log.append(fixture.intent("sevt_\(call)"), durable: true) }
        await log.finish()
        let used = fixture.disk.everErased.map { String(decoding: $0, as: UTF8.self).split(separator: "\n")[2] }
        #expect(Set(used).count == used.count && used.count >= 10)
        let present = fixture.disk.names.compactMap { fixture.disk[$0] }.map { String(decoding: $0, as: UTF8.self) }
        for key in used { #expect(!present.contains { $0.contains(key) }) }
    }

    /// On a real disk: the bytes themselves, and not only the name, are gone.
    @Test func erasingOverwritesTheBytes() throws {
        let folder = try RealFolder()
        let (path, held) = (folder.path + "/key", folder.path + "/held")
        try SmallFile.write(Array("the old key".utf8), to: path)
        #expect(link(path, held) == 0)
        try SystemDisk().replace(path, with: Array("the new key".utf8), erasing: true)
        #expect(try SmallFile.read(path) == Array("the new key".utf8))
        #expect(try SmallFile.read(held) == [UInt8](repeating: 0, count: 11))
    }

    @Test func checkpointsComeByCountAndByTime() async throws {
        var fixture = LogFixture()
        fixture.settings.checkpointRecords = 3
        fixture.settings.mirrorFolder = "/mirror"
        let log = try fixture.open()
        func reasons() -> [String] { fixture.lines.filter { $0["kind"] == "checkpoint" }.compactMap { $0["body"]?["reason"]?.string } }
        try await log.append(fixture.intent("sevt_1"), durable: true)
        try await log.append(fixture.intent("sevt_2"), durable: true)
        #expect(reasons() == ["start"])
        try await log.append(fixture.intent("sevt_3"), durable: true)
        try await log.append(fixture.intent("sevt_4"), durable: true)
        #expect(reasons() == ["start", "records"])
        fixture.time.advance(.seconds(59))
        try await log.append(fixture.intent("sevt_5"), durable: true)
        #expect(reasons() == ["start", "records"])
        fixture.time.advance(.seconds(61))
        try await log.append(fixture.intent("sevt_6"), durable: true)
        #expect(reasons() == ["start", "records", "interval"])
        await log.finish()
        #expect(reasons() == ["start", "records", "interval", "stop"])
        // The mirror has the same lines, byte for byte.
        let mirrored = try #require(fixture.disk["/mirror/\(log.writer).checkpoints.jsonl"]).split(separator: 0x0A)
        let own = fixture.files.flatMap { $0.bytes.split(separator: 0x0A) }.filter { (try? JSON(parsing: $0))?["kind"] == "checkpoint" }
        #expect(mirrored.map(Array.init) == own.map(Array.init))
        await #expect(throws: FileError.self) { try await log.append(fixture.intent("sevt_7"), durable: true) }
    }

    /// A checkpoint by count does not put off the one by time.
    @Test func noRecordStaysUnsignedForLongerThanTheInterval() async throws {
        var fixture = LogFixture()
        fixture.settings.checkpointRecords = 3
        let log = try fixture.open()
        func checkpoints() -> Int { fixture.kinds.filter { $0 == "checkpoint" }.count }
        fixture.time.advance(.seconds(10))
        try await log.append(fixture.intent("sevt_1"), durable: true)
        fixture.time.advance(.seconds(30))
        for call in 2...4 { try await log.append(fixture.intent("sevt_\(call)"), durable: true) }
        #expect(checkpoints() == 2)  // At 0 and, by count, at 40; one record came after it.
        for _ in 0..<60 { fixture.time.advance(.seconds(1)) }
        // What the timers asked for is done before this.
        try await log.append(fixture.record(.gap(what: "test", count: 1)), durable: true)
        let kinds = fixture.kinds
        #expect(kinds.filter { $0 == "checkpoint" }.count == 3 && kinds.last == "gap")
        await log.finish()
    }

    @Test func aMirrorThatFailsIsSaidAndStopsNothing() async throws {
        let folder = try RealFolder()
        var settings = AuditSettings()
        settings.mirrorFolder = folder.path + "/missing"
        settings.checkpointRecords = 1
        let log = try AuditLog(path: folder.path + "/audit.jsonl", key: LogFixture.key, settings: settings)
        let fixture = LogFixture()
        // The mirror works beside the log; a checkpoint after it has failed says so.
        for call in 0..<200 { try await log.append(fixture.intent("sevt_\(call)"), durable: false) }
        await log.finish()
        let bytes = try #require(try SmallFile.read(folder.path + "/audit.jsonl"))
        #expect(String(decoding: bytes, as: UTF8.self).contains("could not be mirrored"))
        #expect(LogFixture.verify([("audit.jsonl", bytes)]).isGood)
    }
}

/// Somebody with the key file as it is now.
private struct Thief {
    /// What stands as the signing key in a forged checkpoint.
    enum Way: CaseIterable { case keepsTheNames, namesTheStolenKey, chainsAnew }

    let key: Curve25519.Signing.PrivateKey

    init(keyFile: [UInt8]) throws {
        let lines = String(decoding: keyFile, as: UTF8.self).split(separator: "\n")
        let hex = Array(lines[2].utf8)
        let bytes = stride(from: 0, to: hex.count, by: 2).compactMap { UInt8(String(decoding: hex[$0..<$0 + 2], as: UTF8.self), radix: 16) }
        key = try Curve25519.Signing.PrivateKey(rawRepresentation: bytes)
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    /// The log with one record changed, all hashes made anew, and these checkpoints signed with the stolen key.
    func forge(_ lines: [JSON], changing victim: Int, resigning: [Int], _ way: Way) -> [JSON] {
        let mine = JSON.string(Self.hex(key.publicKey.rawRepresentation))
        var previous = lines[0]["prev"]?.string ?? ""
        return lines.enumerated().map { index, line in
            guard var object = line.object, var body = line["body"]?.object else { return line }
            object["prev"] = .string(previous)
            if index == victim { object["time"] = "2020-01-01T00:00:00.000000Z" }
            if resigning.contains(index) {
                if way != .keepsTheNames { body["key"] = mine }
                if way == .chainsAnew { body["next"] = mine }
                body["signature"] = Optional<JSON>.none
                object["body"] = .object(body)
                if let signature = try? key.signature(for: JSON.object(object).canonical) { body["signature"] = .string(Self.hex(signature)) }
            }
            object["body"] = .object(body)
            previous = Self.hex(SHA256.hash(data: JSON.object(object).canonical))
            return .object(object)
        }
    }
}
