import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// One session changes a folder that another's sandbox is being made of: whatever is mounted must be what was looked through.
@Suite struct MountRaceTests {
    private static let places = 6
    private static let starts = 40

    /// Swaps folders that hold something to hide with links to a folder of the host, for as long as it lives.
    private static let flipper = """
        import ctypes
        libc = ctypes.CDLL(None)
        pairs = [(b"p%d" % i, b"l%d" % i) for i in range(\(places))]
        while True:
            for folder, link in pairs:
                libc.renameat2(-100, folder, -100, link, 2)
        """

    /// A folder that two sessions may write, and one of the host beside it that neither may see.
    private static func makeFolders(_ scratch: Scratch, _ mode: Mode) throws {
        let (shared, host) = ("\(scratch.path)/shared", "\(scratch.path)/host")
        for path in [shared, host] { mkdir(path, 0o755) }
        for name in ["docker.sock", "treasure"] { try Files.write("of the host\n", to: "\(host)/\(name)") }
        for number in 0..<places {
            mkdir("\(shared)/p\(number)", 0o755)
            try Files.write("of the session\n", to: "\(shared)/p\(number)/docker.sock")
            symlink(host, "\(shared)/l\(number)")
        }
        try Files.write(flipper, to: shared + "/flipper.py")
        let owner = mode == .root ? UInt32(4321) : Mode.userID
        for path in Files.all(shared) { lchown(path, owner, owner) }
    }

    private enum Tree: CaseIterable { case workspace, copyOnWrite, bind }

    private static func victim(_ tree: Tree, _ scratch: Scratch, _ number: Int) -> SandboxSpec {
        var spec = scratch.spec
        let (shared, hidden) = ("\(scratch.path)/shared", ["**/docker.sock"])
        switch tree {
        case .workspace, .copyOnWrite:
            spec.workspace = .folder(shared)
            spec.hidden = hidden
            if tree == .copyOnWrite {
                spec.workspaceMode = .copyOnWrite
                spec.changes = "\(scratch.path)/changes-\(number)"
            }
        case .bind:
            spec.workspace = .managed(directory: "\(scratch.path)/victim")
            spec.binds = [SandboxBind(hostPath: shared, path: "/srv/shared", isWritable: true, hidden: hidden)]
        }
        spec.toolOutputs = "\(scratch.path)/outputs-\(number)"
        return spec
    }

    @Test(arguments: Mode.possible, Tree.allCases) private func mountsNothingThatALinkLeadsTo(mode: Mode, tree: Tree) async throws {
        let spawner = try await Spawners.of(mode)
        try await Box.with(
            mode,
            change: { spec, scratch in
                try Self.makeFolders(scratch, mode)
                spec.workspace = .folder("\(scratch.path)/shared")
            }
        ) { (attacker: Box) async throws in
            #expect(try await attacker.sh("python3 flipper.py >/dev/null 2>&1 & echo started") == "started")
            let scratch = attacker.scratch
            var (escapes, refusals): ([String], [String]) = ([], [])
            for number in 0..<Self.starts {
                do {
                    let started = try await BubblewrapDriver(spawner: spawner).start(Self.victim(tree, scratch, number))
                    let box = Box(sandbox: try #require(started as? RunningSandbox), scratch: scratch)
                    let mounts = try await box.sh("grep '\(scratch.path)/host' /proc/self/mountinfo")
                    let read = try await box.sh("cat /workspace/*/treasure /srv/shared/*/treasure 2>/dev/null")
                    if mounts.contains("/host") || read.contains("of the host") { escapes.append(mounts + read) }
                    await box.sandbox.stop()
                } catch let error as SandboxError {
                    refusals.append("\(error)")
                }
            }
            #expect(escapes.isEmpty, "\(escapes.count) escapes in \(Self.starts) starts, the first: \(escapes.first ?? "")")
            for refusal in refusals { #expect(Self.isExact(refusal), "\(refusal)") }
            // Without the attacker the same folder is served.
            _ = try await attacker.call("bash", ["restart": true])
            let box = try #require(try await BubblewrapDriver(spawner: spawner).start(Self.victim(tree, scratch, Self.starts)) as? RunningSandbox)
            await box.stop()
        }
    }

    /// What one session can put in another's way on the host: a link above the folder that the other's policy names.
    @Test(arguments: Mode.possible) func followsNoLinkThatASessionCouldHaveMade(mode: Mode) async throws {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        for path in ["/host", "/host/b", "/shared", "/shared/c", "/shared/c/b"] { mkdir(scratch.path + path, 0o755) }
        for path in ["/shared", "/shared/c", "/shared/c/b", "/host/b"] { lchown(scratch.path + path, Mode.userID, Mode.userID) }
        for target in ["\(scratch.path)/host", "c", "../host"] {
            let link = scratch.path + "/shared/a"
            unlink(link)
            symlink(target, link)
            var spec = scratch.spec
            spec.workspace = .folder(link + "/b")
            await #expect { _ = try await BubblewrapDriver(spawner: spawner).start(spec) } throws: { Self.names($0, link) }
            spec = scratch.spec
            spec.binds = [SandboxBind(hostPath: link + "/b", path: "/srv/b")]
            await #expect { _ = try await BubblewrapDriver(spawner: spawner).start(spec) } throws: { Self.names($0, link) }
        }
        // One that only root can have made is the administrator's.
        if geteuid() == 0 {
            let base = "/run/postern-link-test-\(getpid())-\(mode)"
            mkdir(base, 0o755)
            symlink(scratch.path + "/shared", base + "/data")
            var spec = scratch.spec
            spec.workspace = .folder(base + "/data/c")
            let box = try #require(try await BubblewrapDriver(spawner: spawner).start(spec) as? RunningSandbox)
            await box.stop()
            unlink(base + "/data")
            rmdir(base)
        }
        await scratch.remove(spawner)
    }

    private static func names(_ error: any Error, _ link: String) -> Bool {
        let text = "\(error)"
        return text.contains("'\(link)' is a link") && text.contains("realpath")
    }

    private static func isExact(_ refusal: String) -> Bool { refusal.contains("changed while") || refusal.contains("bwrap: ") }
}
