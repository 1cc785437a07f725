import Crypto

/// Opens a log: begins a chain, or finds where an old one stands and closes what a crash left open. Blocks.
///
/// What does not fit together is never mended: a log that was changed, or that lacks its keys, is refused with a remedy.
struct AuditRecovery {
    let paths: AuditPaths
    let disk: any AuditDisk
    let settings: AuditSettings
    let clock: AuditClock

    struct Opened {
        var writer: AuditWriter
        /// That of a chain that was begun.
        var newRootKey: String?
    }

    func open() throws(FileError) -> Opened {
        let names = try disk.names(in: paths.folder)
        for path in paths.leftovers(among: names) {
            try disk.replace(path, with: [], erasing: true)
            try disk.remove(path)
        }
        let keys = try readKeys()
        let closed = paths.closed(among: names)

        var scan = try Scan(disk, paths.active, allowsPartial: !closed.isEmpty)
        if keys == nil, closed.isEmpty, scan.follower.writer == nil {
            if scan.bytes > 0 { try setAside() }
            scan = Scan(path: paths.active)
        }
        var needsFile = false
        if scan.bytes == 0, let last = closed.last {
            // Stopped between two files.
            scan = try Scan(disk, last.path, allowsPartial: true)
            needsFile = true
            guard scan.follower.fragment == nil, scan.rest == 0 else { throw damaged(last.path, "its end is cut off") }
        }
        if scan.bytes == 0 { return try begin(keys) }
        if let fault = scan.fault { throw damaged(scan.path, "line \(scan.lines - fault.linesBack): \(fault.what)") }
        var writer = try resume(scan, keys, atEnd: needsFile)
        try writer.closeOrphans()
        try reserve()
        try writer.checkpoint("start")
        return Opened(writer: writer)
    }

    // MARK: A new chain

    private func begin(_ keys: SigningKeys?) throws(FileError) -> Opened {
        if let keys, keys.used > 0 {
            throw FileError(
                action: "use", path: paths.signingKey,
                reason: "its log \(paths.active) is missing; restore the log, or move the key file away to begin a new chain under a new root key")
        }
        let fresh = keys ?? SigningKeys()
        if keys == nil { try disk.replace(paths.signingKey, with: fresh.encoded, erasing: false) }
        var chain = AuditChain(keys: fresh)
        var genesis = AuditRecord.Genesis(rootKey: fresh.currentPublic)
        if let hash = try hash(of: paths.unchained) { genesis.replaced = (paths.unchained, hash) }
        let line = chain.append(AuditRecord(time: clock.timestamp(), policy: settings.policy, kind: .genesis(genesis)))
        try disk.replace(paths.active, with: line + [0x0A], erasing: false)
        try reserve()
        var writer = try self.writer(chain)
        try writer.checkpoint("start")
        return Opened(writer: writer, newRootKey: fresh.currentPublic)
    }

    /// A log of before there were chains goes on under another name, which the genesis vouches for.
    private func setAside() throws(FileError) { try disk.rename(paths.active, to: paths.unchained) }

    private func hash(of path: String) throws(FileError) -> String? {
        var hash = SHA256()
        let exists = try disk.read(path) { piece in piece.withUnsafeBytes { hash.update(bufferPointer: $0) } }
        return exists ? Hex.encode(hash.finalize()) : nil
    }

    // MARK: An old chain

    private func resume(_ scan: Scan, _ keys: SigningKeys?, atEnd: Bool) throws(FileError) -> AuditWriter {
        guard var keys else {
            throw FileError(
                action: "read", path: paths.signingKey,
                reason: "there is none for \(paths.active); restore it, or move the log away to begin a new chain")
        }
        if scan.follower.nextKey == keys.nextPublic {
            // Stopped after the checkpoint and before the key that signed it was erased.
            keys = keys.advanced()
            try disk.replace(paths.signingKey, with: keys.encoded, erasing: true)
        }
        guard let chain = AuditChain(scan.follower, keys: keys) else {
            throw damaged(scan.path, "its last checkpoint does not name the key in \(paths.signingKey): it is cut short, or another log's")
        }
        var writer = try self.writer(chain, atEnd: atEnd)
        if !atEnd, scan.rest > 0 { try writer.endLine() }
        if let fragment = scan.follower.fragment {
            let tail = AuditRecord.TornTail(bytes: fragment.bytes, sha256: Hex.encode(fragment.hash.finalize()))
            try writer.note(.tornTail(tail))
        }
        return writer
    }

    private func writer(_ chain: AuditChain, atEnd: Bool = false) throws(FileError) -> AuditWriter {
        if atEnd {
            return try AuditWriter(next: chain, paths: paths, disk: disk, settings: settings, clock: clock)
        }
        return try AuditWriter(chain: chain, file: try disk.open(paths.active), paths: paths, disk: disk, settings: settings, clock: clock)
    }

    private func readKeys() throws(FileError) -> SigningKeys? {
        var bytes: [UInt8] = []
        guard try disk.read(paths.signingKey, { bytes += $0.prefix(1024) }) else { return nil }
        return try SigningKeys(decoding: bytes, path: paths.signingKey)
    }

    private func reserve() throws(FileError) {
        if settings.reserveBytes > 0 { try disk.reserve(paths.reserve, bytes: settings.reserveBytes) }
    }

    private func damaged(_ path: String, _ what: String) -> FileError {
        FileError(
            action: "continue", path: path,
            reason: "\(what). Nothing was changed. Run `postern audit verify`; to begin a new chain, move the log and its signing key away")
    }
}

extension AuditRecovery {
    /// One file, followed to its end.
    fileprivate struct Scan {
        let path: String
        var follower: ChainFollower
        var fault: ChainFollower.Fault?
        var lines = 0
        var bytes = 0
        /// Bytes after the last newline.
        var rest = 0

        init(path: String) {
            self.path = path
            follower = ChainFollower()
        }

        init(_ disk: any AuditDisk, _ path: String, allowsPartial: Bool) throws(FileError) {
            self.path = path
            var follower = ChainFollower(allowsPartial: allowsPartial)
            var (fault, lines, bytes, splitter) = (ChainFollower.Fault?.none, 0, 0, LineSplitter())
            func take(_ line: [UInt8]) {
                guard fault == nil else { return }
                lines += 1
                do throws(ChainFollower.Fault) { _ = try follower.follow(line) } catch { fault = error }
            }
            _ = try disk.read(path) { piece in
                bytes += piece.count
                splitter.feed(piece, take)
            }
            // A last line that lacks no more than its newline is whole.
            if !splitter.rest.isEmpty { take(splitter.rest) }
            (self.follower, self.fault, self.lines, self.bytes, rest) = (follower, fault, lines, bytes, splitter.rest.count)
        }
    }
}
