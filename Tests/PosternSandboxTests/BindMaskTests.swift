import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// What is hidden, protected and denied in trees of the host that are bound, attacked from inside.
@Suite struct BindMaskTests {
    private static let hidden = ["**/.env", "**/.ssh", "**/docker.sock", "**/id_rsa"]
    private static let protected = ["**/.git/hooks", "**/.git/config"]

    private static func owner(_ mode: Mode) -> UInt32 { mode == .root ? 4321 : Mode.userID }

    /// A tree of somebody's with secrets in it, at `name` below the test's folder, and two sockets that somebody listens on.
    private static func makeTree(_ name: String, _ scratch: Scratch, _ mode: Mode) throws -> String {
        let tree = "\(scratch.path)/\(name)"
        for path in ["", "/a", "/a/b", "/.ssh", "/repo", "/repo/.git", "/repo/.git/hooks", "/repo/.git/hooks/deep", "/run"] {
            mkdir(tree + path, 0o755)
        }
        for path in [
            "/.env", "/a/b/.env", "/.ssh/id_rsa", "/.ssh/config", "/repo/.git/hooks/deep/id_rsa", "/repo/.git/hooks/deep/script",
            "/repo/.git/hooks/pre-commit", "/repo/.git/config", "/plain",
        ] { try Files.write("content of \(path)\n", to: tree + path) }
        symlink("../.env", tree + "/a/link")
        for path in Files.all(tree) { lchown(path, owner(mode), owner(mode)) }
        return tree
    }

    /// A socket at `path` that accepts connections until it is closed.
    private static func listen(at path: String, _ mode: Mode) throws -> Int32 {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        try #require(path.utf8.count < MemoryLayout.size(ofValue: address.sun_path))
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 }
        }
        try #require(isBound && Glibc.listen(socket, 8) == 0 && chown(path, owner(mode), owner(mode)) == 0, "\(path): errno \(errno)")
        return socket
    }

    private static func connect(_ path: String) -> String {
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\(path)\"); print(\"connected\")'"
    }

    /// All of what must fail inside `tree`; nothing of it may print a secret.
    private static func reads(_ tree: String) -> [String] {
        [
            "cat \(tree)/.env", "cat \(tree)/a/b/.env", "cat \(tree)/a/link", "cat \(tree)/.ssh/id_rsa", "ls \(tree)/.ssh/",
            "cat \(tree)/.ssh/config",
            "cat \(tree)/repo/.git/hooks/deep/id_rsa", "ln \(tree)/.env \(tree)/hard && cat \(tree)/hard", "ln \(tree)/.env /tmp/hard",
            "cp \(tree)/.env /tmp/copy", "chmod 777 \(tree)/.env", "chmod 777 \(tree)/.ssh", "umount \(tree)/.env",
            connect("\(tree)/run/docker.sock"),
        ]
    }

    private static func writes(_ tree: String) -> [String] {
        [
            "echo x >> \(tree)/repo/.git/config", "echo x > \(tree)/repo/.git/hooks/post-commit", "rm \(tree)/repo/.git/hooks/pre-commit",
            "echo x > \(tree)/repo/.git/hooks/deep/script", "touch \(tree)/repo/.git/hooks/deep/new", "chmod +x \(tree)/repo/.git/hooks/pre-commit",
            "mv \(tree)/repo/.git \(tree)/repo/old && mkdir -p \(tree)/repo/.git/hooks", "mv \(tree)/repo \(tree)/other", "mv \(tree)/a/b \(tree)/c",
            "mv \(tree)/a \(tree)/c", "mv \(tree)/.ssh \(tree)/ssh", "mv \(tree)/.env \(tree)/env", "rm -f \(tree)/.env", "rm -rf \(tree)/repo/.git",
            "echo x > \(tree)/.env", "echo x > \(tree)/file && mv -f \(tree)/file \(tree)/repo/.git/config",
            "ln \(tree)/repo/.git/config \(tree)/hard && echo x >> \(tree)/hard", "mv \(tree)/run/docker.sock \(tree)/run/d.sock",
            "python3 -c 'import ctypes, os; os.rename(\"\(tree)/repo\", \"\(tree)/moved\")'",
        ]
    }

    @Test(arguments: Mode.possible, [false, true]) func hidesAndProtectsInBoundTrees(mode: Mode, isWritable: Bool) async throws {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        try await Box.with(
            mode,
            change: { spec, scratch in
                let tree = try Self.makeTree("t", scratch, mode)
                sockets = try ["docker", "open"].map { try Self.listen(at: "\(tree)/run/\($0).sock", mode) }
                spec.binds = [
                    SandboxBind(hostPath: tree, path: "/srv/t", isWritable: isWritable, hidden: Self.hidden, protected: Self.protected)
                ]
            }
        ) { (box: Box) async throws in
            let host = box.scratch.path + "/t"
            for command in Self.reads("/srv/t") + Self.writes("/srv/t") {
                let outcome = try await box.bash(command)
                #expect(outcome.isError && !outcome.text.contains("content of"), "\(command): \(outcome.text)")
            }
            for path in [".env", "a/b/.env", "a/link", ".ssh/id_rsa", "repo/.git/hooks/deep/id_rsa"] {
                let outcome = try await box.call("read", ["file_path": .string("/srv/t/\(path)")])
                #expect(outcome.isError && !outcome.text.contains("content of"), "\(path)")
            }
            let found = try await box.sh("grep -rh content /srv/t 2>/dev/null | sort")
            #expect(!found.contains(".env") && !found.contains("id_rsa") && !found.contains(".ssh"), "\(found)")
            // What nobody masks is there, so that the attacks above have failed for the right reason.
            #expect(try await box.sh("cat /srv/t/plain /srv/t/repo/.git/hooks/pre-commit /srv/t/repo/.git/config | wc -l") == "3")
            #expect(try await box.sh(Self.connect("/srv/t/run/open.sock")) == "connected")
            let change = try await box.bash(
                "cd /srv/t && echo x > a/new && echo x > repo/.git/index && mv plain other && ln other hard2 && mv a/new newer")
            #expect(change.isError == !isWritable, "\(change.text)")
            #expect((Files.read(host + "/newer") == "x\n") == isWritable)
            for path in ["/.env", "/a/b/.env", "/.ssh/id_rsa", "/repo/.git/config", "/repo/.git/hooks/pre-commit", "/repo/.git/hooks/deep/script"] {
                #expect(Files.read(host + path) == "content of \(path)\n", "\(path)")
            }
            #expect(access(host + "/repo/.git/hooks/post-commit", F_OK) != 0 && access(host + "/hard", F_OK) != 0)
        }
    }

    /// Folders that this side cannot look into or need not, but the session might open up or walk through.
    @Test(arguments: Mode.possible) func hidesWhatCouldNotBeLookedAt(mode: Mode) async throws {
        try await Box.with(
            mode,
            change: { spec, scratch in
                let tree = try Self.makeTree("t", scratch, mode)
                for name in ["shut", "dark", "roots"] {
                    mkdir("\(tree)/\(name)", 0o755)
                    try Files.write("content of \(name)\n", to: "\(tree)/\(name)/.env")
                    chmod("\(tree)/\(name)/.env", 0o644)
                }
                for path in ["\(tree)/shut", "\(tree)/shut/.env"] { chown(path, Self.owner(mode), Self.owner(mode)) }
                chmod(tree + "/shut", 0)
                // As root: of somebody else's, to be walked through only, and closed to all others.
                chmod(tree + "/dark", 0o711)
                chmod(tree + "/roots", 0o700)
                let deep = Array(repeating: "d", count: 70)
                var path = tree
                for name in deep {
                    path += "/" + name
                    mkdir(path, 0o755)
                }
                try Files.write("content of deep\n", to: path + "/.env")
                spec.binds = [SandboxBind(hostPath: tree, path: "/srv/t", isWritable: true, hidden: ["**/.env"])]
            }
        ) { (box: Box) async throws in
            let deep = Array(repeating: "d", count: 70).joined(separator: "/")
            for folder in ["shut", "dark", "roots", deep] {
                let outcome = try await box.bash("chmod -R u+rwX /srv/t/\(folder) 2>/dev/null; cat /srv/t/\(folder)/.env")
                #expect(outcome.isError && !outcome.text.contains("content of"), "\(folder): \(outcome.text)")
            }
            #expect(try await box.sh("cat /srv/t/plain") == "content of /plain")
            // So that an ordinary user can remove them.
            for path in Files.all(box.scratch.path + "/t") { lchown(path, Self.owner(mode), Self.owner(mode)) }
        }
    }

    @Test(arguments: Mode.possible) func asksTheNameOfASingleFile(mode: Mode) async throws {
        try await Box.with(
            mode,
            change: { spec, scratch in
                for name in [".env", "config", "free"] {
                    try Files.write("content\n", to: "\(scratch.path)/\(name)")
                    chown("\(scratch.path)/\(name)", Self.owner(mode), Self.owner(mode))
                }
                spec.binds = [".env", "config", "free"].map {
                    SandboxBind(hostPath: "\(scratch.path)/\($0)", path: "/srv/\($0)", isWritable: true, hidden: [".env"], protected: ["conf*"])
                }
                // Under another name it is the same file.
                spec.binds.append(SandboxBind(hostPath: scratch.path + "/.env", path: "/srv/other", hidden: ["**/.env"]))
            }
        ) { (box: Box) async throws in
            #expect(try await box.sh("ls -A /srv; cat /srv/*; echo x >> /srv/free") == "config\nfree\ncontent\ncontent")
            #expect(try await box.bash("echo x >> /srv/config").isError)
            #expect(Files.read(box.scratch.path + "/config") == "content\n" && Files.read(box.scratch.path + "/free") == "content\nx\n")
        }
    }

    /// Given in the wrong order, and each with patterns of its own.
    @Test(arguments: Mode.possible) func laysTheInnerTreeOverTheOuterOne(mode: Mode) async throws {
        try await Box.with(
            mode,
            change: { spec, scratch in
                let tree = try Self.makeTree("t", scratch, mode)
                spec.binds = [
                    SandboxBind(hostPath: tree + "/a", path: "/srv/t/a", isWritable: true, hidden: ["**/.env"]),
                    SandboxBind(hostPath: tree, path: "/srv/t", hidden: ["**/.env", "plain"]),
                ]
            }
        ) { (box: Box) async throws in
            for command in ["cat /srv/t/.env", "cat /srv/t/a/b/.env", "cat /srv/t/plain", "touch /srv/t/new"] {
                let outcome = try await box.bash(command)
                #expect(outcome.isError && !outcome.text.contains("content of"), "\(command)")
            }
            #expect(try await box.sh("echo x > /srv/t/a/new; cat /srv/t/a/new") == "x")
        }
    }

    /// A root spawner shows a tree without what the host has mounted in it; what that lies over is seen then, and hidden.
    @Test(.enabled(if: geteuid() == 0)) func hidesWhatAMountOfTheHostLiesOver() async throws {
        var point = ""
        defer { if !point.isEmpty { umount2(point, Int32(MNT_DETACH)) } }
        try await Box.with(
            .root,
            change: { spec, scratch in
                let tree = try Self.makeTree("t", scratch, .root)
                try #require(mount("none", tree + "/a", "tmpfs", 0, "size=64k") == 0, "errno \(errno)")
                point = tree + "/a"
                try Files.write("content above\n", to: point + "/.env")
                spec.binds = [SandboxBind(hostPath: tree, path: "/srv/t", isWritable: true, hidden: ["**/.env"])]
            }
        ) { (box: Box) async throws in
            for path in ["a/b/.env", "a/.env"] { #expect(try await box.bash("cat /srv/t/\(path)").isError, "\(path)") }
            umount2(point, Int32(MNT_DETACH))
            point = ""
            #expect(try await box.bash("cat /srv/t/a/b/.env").isError)
        }
    }

    @Test func refusesWhatItCannotMask() async throws {
        let spawner = try await Spawners.of(Mode.possible[0])
        let scratch = try Scratch()
        let tree = scratch.path + "/many"
        mkdir(tree, 0o755)
        for number in 0...1000 { try Files.write("", to: "\(tree)/key\(number)") }
        mkdir(scratch.path + "/odd", 0o755)
        var name = Array("\(scratch.path)/odd/".utf8) + [0xFF] + Array(".key\0".utf8)
        let file = name.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { open($0.assumingMemoryBound(to: CChar.self), O_WRONLY | O_CREAT, 0o600) } ?? -1
        }
        close(file)
        let driver = try BubblewrapDriver(spawner: spawner)
        for (bind, parts) in [
            (SandboxBind(hostPath: tree, path: "/srv/many", hidden: ["key*"]), ["1000", "/srv/many"]),
            (SandboxBind(hostPath: scratch.path + "/odd", path: "/srv/odd", hidden: ["*.key"]), ["UTF-8", "/srv/odd"]),
            (SandboxBind(hostPath: tree, path: "/srv/many", protected: ["../x"]), ["../x"]),
            (SandboxBind(hostPath: tree, path: "/srv/many", hidden: Array(repeating: String(repeating: "x", count: 1000), count: 300)), ["300000"]),
        ] {
            var spec = scratch.spec
            spec.binds = [bind]
            let error = await #expect(throws: SandboxError.self, "\(parts)") { try await driver.start(spec) }
            for part in parts { #expect(error?.message.contains(part) == true, "\(error?.message ?? "")") }
        }
        // A folder with that many in it is hidden as easily as it says.
        var spec = scratch.spec
        spec.binds = [SandboxBind(hostPath: scratch.path, path: "/srv/all", hidden: ["many", "odd"])]
        await (try await driver.start(spec)).stop()
        await scratch.remove(spawner)
    }

    @Test func bindsTravelAsJSON() throws {
        var bind = SandboxBind(hostPath: "/host/x", path: "/srv/x", isWritable: true, hidden: ["**/.env", "a/*"], protected: [".git"])
        let read = try #require(SandboxBind(json: bind.json))
        #expect(read != bind)
        bind.hostPath = "/srv/x"
        #expect(read == bind)
        #expect(SandboxBind(json: ["writable": true]) == nil)
        // What is no pattern stays one that is refused.
        #expect(SandboxBind(json: ["path": "/srv/x", "hidden": [7]])?.hidden == [""])
    }
}
