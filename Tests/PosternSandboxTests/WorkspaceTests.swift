import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

@Suite struct WorkspaceTests {
    /// A folder of the user's with something in it, served copy-on-write.
    private static func withCopy(_ mode: Mode, _ body: (Box, Spawner, String, String) async throws -> Void) async throws {
        try await Box.with(
            mode,
            change: { spec, scratch in
                let folder = scratch.path + "/folder"
                for path in [folder, folder + "/keep", folder + "/gone", folder + "/again"] { mkdir(path, 0o755) }
                for path in ["/file", "/same", "/deleted", "/keep/a", "/gone/b", "/again/c", "/wasfile"] {
                    try Files.write("old\n", to: folder + path)
                }
                symlink("file", folder + "/link")
                for path in ["", "/keep", "/gone", "/again", "/file", "/same", "/deleted", "/keep/a", "/gone/b", "/again/c", "/wasfile", "/link"] {
                    let owner = mode == .root ? UInt32(4321) : Mode.userID
                    lchown(folder + path, owner, owner)
                }
                spec.workspace = .folder(folder)
                spec.workspaceMode = .copyOnWrite
                spec.changes = scratch.path + "/changes"
            }
        ) { (box: Box) async throws in
            try await body(box, try await Spawners.of(mode), box.scratch.path + "/folder", box.scratch.path + "/changes")
        }
    }

    private static let work = """
        echo new >> file; cat same > same2; touch same; rm deleted; rm -r gone; rm -r again; mkdir again; echo fresh > again/d; rm wasfile; mkdir wasfile
        echo in > wasfile/in; mkdir -p deep/er; echo x > deep/er/x; chmod +x deep/er/x; ln -s /etc/passwd out; mkfifo fifo; rm link; echo plain > link
        echo more > keep/more; chmod 700 keep; cat file
        """

    @Test(arguments: Mode.possible) func keepsChangesAsideAndAppliesThem(mode: Mode) async throws {
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            #expect(try await box.sh("cat file keep/a link; id -u; stat -c %u file . | sort -u") == "old\nold\nold\n1000\n1000")
            #expect(try await box.sh(Self.work) == "old\nnew")
            // The folder itself is as it was.
            #expect(Files.read(folder + "/file") == "old\n" && Files.read(folder + "/gone/b") == "old\n" && access(folder + "/deep", F_OK) != 0)
            await #expect(throws: SandboxError.self) { try await spawner.changes(ChangesOrder(.diff), in: ChangesLock(changes), of: folder) }
            await box.sandbox.stop()

            let diff = try await spawner.changes(ChangesOrder(.diff), in: ChangesLock(changes), of: folder)
            let lines = Set(diff.entries.map { "\($0.change.rawValue) \($0.path)" })
            #expect(
                lines == [
                    "modified file", "added same2", "deleted deleted", "deleted gone", "replaced again", "added again/d", "replaced wasfile",
                    "added wasfile/in", "added deep", "added deep/er", "added deep/er/x", "added out", "skipped fifo", "replaced link",
                    "added keep/more", "modified keep",
                ], "\(lines.sorted())")
            #expect(Files.read(folder + "/file") == "old\n")

            let applied = try await spawner.changes(ChangesOrder(.apply, acceptsFindings: true), in: ChangesLock(changes), of: folder)
            #expect(applied.isComplete && applied.entries.count == diff.entries.count)
            #expect(
                Files.read(folder + "/file") == "old\nnew\n" && Files.read(folder + "/again/d") == "fresh\n" && access(folder + "/again/c", F_OK) != 0
            )
            #expect(access(folder + "/gone", F_OK) != 0 && access(folder + "/deleted", F_OK) != 0 && Files.read(folder + "/wasfile/in") == "in\n")
            #expect(access(folder + "/deep/er/x", X_OK) == 0 && access(folder + "/fifo", F_OK) != 0 && Files.read(folder + "/link") == "plain\n")
            var info = stat()
            #expect(lstat(folder + "/out", &info) == 0 && info.st_mode & S_IFMT == S_IFLNK)
            for path in ["/file", "/deep/er/x", "/again", "/out", "/keep/more"] {
                #expect(lstat(folder + path, &info) == 0 && info.st_uid == (mode == .root ? 4321 : Mode.userID), "\(path)")
            }
            // Taken over is forgotten.
            #expect(try await spawner.changes(ChangesOrder(.diff), in: ChangesLock(changes), of: folder).entries.isEmpty)
        }
    }

    /// Whoever's spawner a sandbox is of, what it has mounted is left alone; and what is being looked at is not mounted.
    @Test(arguments: Mode.possible) func holdsChangesForOneSideAtATime(mode: Mode) async throws {
        let other = try await Spawner.launch(mode.configuration)
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            var spec = box.scratch.spec
            spec.workspace = .folder(folder)
            (spec.workspaceMode, spec.changes) = (.copyOnWrite, changes)
            let mounted = #expect(throws: SandboxError.self) { try ChangesLock(changes) }
            #expect(mounted?.message.contains("the session's worker has them mounted in a sandbox") == true, "\(String(describing: mounted))")
            await box.sandbox.stop()
            do {
                let lock = try ChangesLock(changes)
                let second = #expect(throws: SandboxError.self) { try ChangesLock(changes) }
                #expect(second?.message.contains("another command") == true)
                let driver = try BubblewrapDriver(spawner: other)
                let early = await #expect(throws: SandboxError.self) { try await driver.start(spec) }
                #expect(early?.message.contains("is at work on the session's changes") == true)
                #expect(try await spawner.changes(ChangesOrder(.diff), in: lock, of: folder).entries.isEmpty)
            }
            // Killed, a spawner leaves no lock.
            let held = try await BubblewrapDriver(spawner: other).start(spec)
            withExtendedLifetime(held) { _ = #expect(throws: SandboxError.self) { try ChangesLock(changes) } }
            kill(other.processID, SIGKILL)
            await other.close()
            _ = try ChangesLock(changes)
        }
    }

    @Test(arguments: Mode.possible) func discardsChanges(mode: Mode) async throws {
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            _ = try await box.sh(Self.work)
            await box.sandbox.stop()
            #expect(try await spawner.changes(ChangesOrder(.discard), in: ChangesLock(changes), of: folder).isComplete)
            #expect(try await spawner.changes(ChangesOrder(.diff), in: ChangesLock(changes), of: folder).entries.isEmpty)
            #expect(Files.read(folder + "/file") == "old\n")
        }
    }

    @Test(arguments: Mode.possible) func keepsChangesForTheNextSandbox(mode: Mode) async throws {
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            _ = try await box.sh("echo new > file; rm -r gone")
            await box.sandbox.stop()
            var spec = box.scratch.spec
            spec.workspace = .folder(folder)
            spec.workspaceMode = .copyOnWrite
            spec.changes = changes
            let again = try await BubblewrapDriver(spawner: spawner).start(spec)
            #expect(try await again.call(ToolInvocation(id: "a", name: "bash", input: ["command": "cat file; ls"])).text.hasPrefix("new\nagain\n"))
            await again.stop()
        }
    }

    /// A link that a session, or anybody, has put in the way is not followed while changes are made.
    @Test(arguments: Mode.possible) func appliesWithoutFollowingLinks(mode: Mode) async throws {
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            let host = try HostAims()
            defer { host.remove() }
            _ = try await box.sh("echo evil > keep/canary; mkdir keep/sub; echo evil > keep/sub/canary; echo evil > file")
            await box.sandbox.stop()
            // What were folders and files when the session looked lead out of the workspace now.
            #expect(rename(folder + "/keep", folder + "/kept") == 0 && symlink(host.folder, folder + "/keep") == 0)
            #expect(unlink(folder + "/file") == 0 && symlink(host.folder + "/canary", folder + "/file") == 0)
            _ = try await spawner.changes(ChangesOrder(.apply, acceptsFindings: true), in: ChangesLock(changes), of: folder)
            #expect(host.isUntouched)
            #expect(access(host.folder + "/sub", F_OK) != 0)
            #expect(Files.read(folder + "/file") == "evil\n")
        }
    }

    @Test(arguments: Mode.possible) func appliesHolesAsHoles(mode: Mode) async throws {
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            _ = try await box.sh("truncate -s 1G sparse; printf mark | dd of=sparse bs=1 seek=5000000 conv=notrunc 2>/dev/null; truncate -s 2G empty")
            await box.sandbox.stop()
            // Two holes of 3 GiB are within a bound of 1 MiB.
            let report = try await spawner.changes(ChangesOrder(.apply, mostBytes: 1 << 20), in: ChangesLock(changes), of: folder)
            #expect(report.isComplete && report.refusal == nil, "\(report)")
            var info = stat()
            #expect(lstat(folder + "/sparse", &info) == 0 && info.st_size == 1 << 30 && info.st_blocks * 512 < 1 << 20, "\(info.st_blocks)")
            #expect(lstat(folder + "/empty", &info) == 0 && info.st_size == 2 << 30 && info.st_blocks * 512 < 1 << 20, "\(info.st_blocks)")
            let file = open(folder + "/sparse", O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            var mark = [UInt8](repeating: 0xFF, count: 6)
            #expect(pread(file, &mark, 6, 4_999_999) == 6 && mark == [0] + Array("mark".utf8) + [0])
        }
    }

    @Test(arguments: Mode.possible) func takesOverAllOrNothing(mode: Mode) async throws {
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            _ = try await box.sh("rm deleted; echo new > file; head -c 300000 /dev/zero > large")
            await box.sandbox.stop()
            let before = Files.all(folder).sorted()
            func refusal(_ order: ChangesOrder) async throws -> ChangesReport.Refusal? {
                let report = try await spawner.changes(order, in: ChangesLock(changes), of: folder)
                #expect(Files.all(folder).sorted() == before && Files.read(folder + "/file") == "old\n" && report.counts[.deleted] == nil)
                return report.refusal
            }
            let bound = try await refusal(ChangesOrder(.apply, mostBytes: 300_000))
            #expect(bound?.kind == .bound && bound?.detail.contains("the bound is 293 KiB") == true, "\(String(describing: bound))")
            if mode == .user {
                chmod(folder, 0o555)
                let shut = try await refusal(ChangesOrder(.apply))
                #expect(shut?.kind == .failed, "\(String(describing: shut))")
                chmod(folder, 0o755)
            }
            let report = try await spawner.changes(ChangesOrder(.apply, mostBytes: 400_000), in: ChangesLock(changes), of: folder)
            #expect(report.isComplete && report.refusal == nil && Files.read(folder + "/file") == "new\n", "\(report)")
            #expect(Files.all(folder).count == before.count)
        }
    }

    /// What the scan has not seen may be anything.
    @Test(arguments: Mode.possible) func doesNotApplyWhatWasNotLookedAt(mode: Mode) async throws {
        try await Self.withCopy(mode) { box, spawner, folder, changes in
            _ = try await box.sh("rm deleted; mkdir -p \(String(repeating: "d/", count: 201)) shut; echo new > shut/file")
            await box.sandbox.stop()
            let report = try await spawner.changes(ChangesOrder(.apply), in: ChangesLock(changes), of: folder)
            #expect(report.refusal?.kind == .findings && report.scan?.counts == [.unseen: 1], "\(report)")
            // Told to go on, it does not take half of it over either.
            let forced = try await spawner.changes(ChangesOrder(.apply, acceptsFindings: true), in: ChangesLock(changes), of: folder)
            #expect(forced.refusal?.kind == .failed && forced.entries.map(\.change) == [.failed], "\(forced)")
            #expect(Files.read(folder + "/deleted") == "old\n" && access(folder + "/shut", F_OK) != 0)
            #expect(try await spawner.changes(ChangesOrder(.diff), in: ChangesLock(changes), of: folder).counts[.deleted] == 1)
        }
    }

    @Test(.enabled(if: geteuid() == 0), arguments: ["size=512k", "nr_inodes=40"]) func leavesAFullDiskAlone(options: String) async throws {
        try await Self.withCopy(.root) { box, spawner, folder, changes in
            _ = try await box.sh("rm deleted; head -c 600000 /dev/zero > large; mkdir many; for n in $(seq 60); do echo $n > many/$n; done")
            await box.sandbox.stop()
            // The workspace as it was, on a small disk.
            let small = box.scratch.path + "/small"
            mkdir(small, 0o755)
            try #require(mount("none", small, "tmpfs", 0, options) == 0, "errno \(errno)")
            defer { umount2(small, Int32(MNT_DETACH)) }
            try Files.write("old\n", to: small + "/deleted")
            let report = try await spawner.changes(ChangesOrder(.apply), in: ChangesLock(changes), of: small)
            #expect(report.refusal?.kind == .room && report.entries.isEmpty, "\(report)")
            #expect(Files.all(small).count == 2 && Files.read(small + "/deleted") == "old\n")
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func leavesMountsInTheWorkspaceAlone() async throws {
        try await Self.withCopy(.root) { box, spawner, folder, changes in
            _ = try await box.sh("rm deleted; echo new > keep/a")
            await box.sandbox.stop()
            try #require(mount("none", folder + "/keep", "tmpfs", 0, "size=64k") == 0, "errno \(errno)")
            let report = try await spawner.changes(ChangesOrder(.apply), in: ChangesLock(changes), of: folder)
            #expect(report.refusal?.kind == .failed && report.entries.map(\.path) == ["keep"], "\(report)")
            #expect(Files.all(folder + "/keep").count == 1 && Files.read(folder + "/deleted") == "old\n")
            umount2(folder + "/keep", Int32(MNT_DETACH))
            #expect(try await spawner.changes(ChangesOrder(.apply), in: ChangesLock(changes), of: folder).refusal == nil)
            #expect(Files.read(folder + "/keep/a") == "new\n" && access(folder + "/deleted", F_OK) != 0)
        }
    }

    // MARK: Masks and binds

    @Test(arguments: Mode.possible) func hidesAndProtects(mode: Mode) async throws {
        try await Box.with(
            mode,
            change: { spec, scratch in
                let folder = scratch.path + "/folder"
                for path in ["", "/.git", "/.git/hooks", "/secrets", "/a", "/a/b"] { mkdir(folder + path, 0o755) }
                for path in ["/.env", "/a/b/.env", "/secrets/key", "/.git/config", "/.git/hooks/pre-commit", "/a/plain"] {
                    try Files.write("content of \(path)\n", to: folder + path)
                }
                symlink("../.env", folder + "/a/link")
                for path in Files.all(folder) { lchown(path, mode == .root ? 4321 : Mode.userID, mode == .root ? 4321 : Mode.userID) }
                spec.workspace = .folder(folder)
                spec.hidden = ["**/.env", "secrets", "not/there"]
                spec.protected = [".git/hooks", ".git/config", "secrets/key"]
            }
        ) { (box: Box) async throws in
            for command in ["cat .env", "cat a/b/.env", "cat a/link", "ls secrets/", "cat secrets/key", "cp .env x", "ln .env x", "chmod 777 .env"] {
                let outcome = try await box.bash(command)
                #expect(outcome.isError && !outcome.text.contains("content of"), "\(command): \(outcome.text)")
            }
            for path in [".env", "a/b/.env", "secrets/key"] {
                #expect(try await box.call("read", ["file_path": .string(path)]).isError, "\(path)")
            }
            #expect(try await !box.sh("grep -r content . 2>/dev/null").contains(".env:"))
            #expect(try await box.sh("cat .git/config .git/hooks/pre-commit a/plain").split(separator: "\n").count == 3)
            // Not changed, and not moved away with what they are in.
            for command in [
                "echo x >> .git/config", "echo x > .git/hooks/post-commit", "rm .git/hooks/pre-commit", "mv .git .git2", "rm -rf .git",
                "mv .git/hooks h",
                "mv secrets s", "mv a/b c", "rm -f .env", "mv .env e", "echo x > .env",
            ] {
                #expect(try await box.bash(command).isError, "\(command)")
            }
            #expect(try await box.sh("echo fine > a/new; echo fine > .git/index; mv a/plain a/other; cat a/new") == "fine")
            #expect(Files.read(box.scratch.path + "/folder/.git/config") == "content of /.git/config\n")
            #expect(Files.read(box.scratch.path + "/folder/.env") == "content of /.env\n")
        }
    }

    @Test(arguments: Mode.possible) func bindsFilesAndFolders(mode: Mode) async throws {
        let owner = mode == .root ? UInt32(4321) : Mode.userID
        try await Box.with(
            mode,
            change: { spec, scratch in
                for path in ["/data", "/out"] { mkdir(scratch.path + path, 0o700) }
                try Files.write("data\n", to: scratch.path + "/data/file")
                try Files.write("single\n", to: scratch.path + "/single")
                for path in ["/data", "/out", "/data/file", "/single"] { chown(scratch.path + path, owner, owner) }
                spec.binds = [
                    SandboxBind(hostPath: scratch.path + "/data", path: "/srv/data"),
                    SandboxBind(hostPath: scratch.path + "/out", path: "/srv/out", isWritable: true),
                    SandboxBind(hostPath: scratch.path + "/single", path: "/opt/single"),
                ]
            }
        ) { (box: Box) async throws in
            #expect(try await box.sh("cat /srv/data/file /opt/single; ls /srv") == "data\nsingle\ndata\nout")
            for command in ["echo x > /srv/data/file", "touch /srv/data/new", "echo x > /opt/single", "rm /opt/single", "mv /srv/data /srv/x"] {
                #expect(try await box.bash(command).isError, "\(command)")
            }
            _ = try await box.sh("echo result > /srv/out/result")
            #expect(Files.read(box.scratch.path + "/out/result") == "result\n")
            var info = stat()
            #expect(lstat(box.scratch.path + "/out/result", &info) == 0 && info.st_uid == owner)
        }
    }

    /// The worker's own is not shown, by whatever way: the place itself, what it is in, what is in it, through a link.
    @Test func neverShowsWhatIsTheWorkersOwn() async throws {
        let spawner = try await Spawners.of(Mode.possible[0])
        let scratch = try Scratch()
        for path in ["/a", "/a/state", "/a/state/inner", "/b"] { mkdir(scratch.path + path, 0o755) }
        try Files.write("key\n", to: scratch.path + "/a/key")
        try Files.write("key\n", to: scratch.path + "/a/state/key")
        symlink(scratch.path + "/a/state", scratch.path + "/way")
        let driver = try BubblewrapDriver(spawner: spawner, denied: [scratch.path + "/a/state", scratch.path + "/a/key", "/nonexistent"])
        for path in ["/a", "/a/state", "/a/state/inner", "/a/state/key", "/a/key", "/way", "/way/inner", ""] {
            var spec = scratch.spec
            spec.binds = [SandboxBind(hostPath: scratch.path + path, path: "/srv/x")]
            let error = await #expect(throws: SandboxError.self, "\(path)") { try await driver.start(spec) }
            #expect(error?.code == .refused, "\(path)")
            spec.binds = []
            guard path != "/a/key", path != "/a/state/key" else { continue }
            spec.workspace = .folder(scratch.path + path)
            await #expect(throws: SandboxError.self, "\(path)") { try await driver.start(spec) }
        }
        var spec = scratch.spec
        spec.binds = [SandboxBind(hostPath: scratch.path + "/b", path: "/srv/x")]
        await (try await driver.start(spec)).stop()
        for place in ["/etc/x", "/usr", "/proc/x", "/workspace"] {
            spec.binds = [SandboxBind(hostPath: scratch.path + "/b", path: place)]
            await #expect(throws: SandboxError.self, "\(place)") { try await driver.start(spec) }
        }
        await scratch.remove(spawner)
    }

    // MARK: Scan

    @Test(arguments: Mode.possible) func scansWhatASessionLeft(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh(
                """
                git init -q . 2>/dev/null || mkdir -p .git/hooks; printf '[core]\\n\\tfsmonitor = /tmp/x\\n' >> .git/config
                printf '#!/bin/sh\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; mkdir -p .claude a; echo '{}' > .claude/settings.json
                ln -s /etc/passwd out; ln -s ../a a/in; mkfifo a/pipe; touch "$(printf 'evil\\033[31m')"
                mkdir -p b/objects b/refs b/hooks/x; cp .git/config b; echo x > b/HEAD; cp .git/hooks/pre-commit b/hooks; echo x > b/hooks/x/plain
                python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'; mkdir shut; chmod 0 shut; chmod u+s a 2>/dev/null
                """)
            await box.sandbox.stop()
            let report = try await Spawners.of(mode).scanWorkspace(box.scratch.workspace)
            let found = Dictionary(grouping: report.findings, by: \.kind).mapValues { $0.map(\.path).sorted() }
            #expect(found[.linkOut] == ["out"] && found[.fifo] == ["a/pipe"] && found[.socket] == ["sock"] && found[.setID] == nil, "\(report)")
            #expect(found[.gitHook] == [".git/hooks/pre-commit", "b/hooks/pre-commit"])
            #expect(found[.gitConfiguration] == [".git/config", "b", "b/config"])
            #expect(found[.agentConfiguration] == [".claude"] && found[.unsafeName] == ["evil\\x1b[31m"])
            // Root sees everything; an ordinary user says what it could not see.
            #expect(report.isComplete == (mode == .root) && (found[.unseen] ?? []) == (mode == .root ? [] : ["shut"]))
            chmod(box.scratch.workspace + "/shut", 0o700)
            let error = await #expect(throws: SandboxError.self) { try await Spawners.of(mode).scanWorkspace(box.scratch.path + "/nothing") }
            #expect(error?.message.contains("no such file") == true)
        }
    }
}

/// Small files of tests.
enum Files {
    static func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        defer { close(file) }
        guard Glibc.write(file, text, text.utf8.count) == text.utf8.count else { throw SandboxError(.refused, "write \(path): errno \(errno)") }
    }

    static func read(_ path: String) -> String? { Processes.text(path) }

    /// `folder` and all below it.
    static func all(_ folder: String) -> [String] {
        var found = [folder]
        guard let directory = opendir(folder) else { return found }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name != ".", name != ".." else { continue }
            var info = stat()
            if lstat("\(folder)/\(name)", &info) == 0, info.st_mode & S_IFMT == S_IFDIR {
                found += all("\(folder)/\(name)")
            } else {
                found.append("\(folder)/\(name)")
            }
        }
        return found
    }
}
