import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// Landlock in a sandbox with all layers: that work goes on as if it were not there, and that it is there. What it stops alone is in the
/// attack suite.
@Suite struct LandlockTests {
    /// What agents do all day, each with a right of its own: moves between folders, links, FIFOs, sockets, terminals, compilers.
    private static let work = #"""
        set -e
        git init -q . && git config user.email a@b && git config user.name a
        mkdir -p a/b c && echo one > a/b/f && mv a/b/f c/g && mv a c/ && ln c/g c/h && ln -s g c/s && rm c/h
        git add -A && git commit -qm one && git mv c/g c/moved && git commit -qm two && git gc -q && git log --oneline | wc -l
        mkfifo p && (echo through > p &) && cat p
        truncate -s 100 t && stat -c %s t && : > t && stat -c %s t
        printf '#!/bin/sh\necho ran from $1\n' > run && chmod +x run && ./run workspace && cp run /tmp/run && /tmp/run tmp && cp run ~/run && ~/run home
        cp /bin/true /dev/shm/true && /dev/shm/true && echo shm
        /usr/bin/python3 -c '
        import socket, os, threading
        s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen()
        a = socket.socket(socket.AF_UNIX); a.bind("\0abstract"); a.listen()
        t = socket.create_server(("127.0.0.1", 8080))
        for address, kind in (("sock", 1), ("\0abstract", 1)): socket.socket(kind).connect(address)
        socket.create_connection(("127.0.0.1", 8080))
        leader, follower = os.openpty(); os.write(leader, b"x\n"); print(os.isatty(follower), os.read(follower, 9))
        child = os.fork()
        if child == 0:
            import signal; signal.pause()
        os.kill(child, 15); print(os.waitpid(child, 0)[1])'
        echo x > /dev/null && head -c 4 /dev/urandom | wc -c && echo to-stdout > /dev/stdout
        """#

    private static let expected = """
        2
        through
        100
        0
        ran from workspace
        ran from tmp
        ran from home
        shm
        True b'x\\n'
        15
        4
        to-stdout
        """

    @Test(arguments: Mode.possible) func isNotInTheWayOfWork(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            #expect(box.sandbox.layers.landlockABI >= 2 && box.sandbox.layers.missing.isEmpty)
            #expect(try await box.sh(Self.work) == Self.expected)
            #expect(try await box.call("write", ["file_path": "deep/er/f", "content": "x"]).isError == false)
            #expect(try await box.call("edit", ["file_path": "deep/er/f", "old_string": "x", "new_string": "y"]).isError == false)
        }
    }

    /// Nothing in /proc can be written, not even one's own: the mounts would let it.
    @Test func isThere() async throws {
        try await Box.with { (box: Box) async throws in
            #expect(try await box.sh("(echo x > /proc/self/comm) 2>&1").contains("Permission denied"))
            #expect(try await box.sh("(echo 5 > /proc/self/oom_score_adj) 2>&1").contains("Permission denied"))
        }
    }

    #if DEBUG
    /// Kernels from 5.19 on: each ABI is used for what it has, and said.
    @Test(arguments: [0, 1, 2, 3, 4, 5, 6, 7]) func usesWhatTheKernelHas(abi: Int) async throws {
        var configuration = Mode.possible[0].configuration
        configuration.unsafeLayers = Set(SandboxLayer.allCases)
        configuration.unsafeLandlockABI = abi
        let spawner = try await Spawner.launch(configuration)
        let scratch = try Scratch()
        let started = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        let sandbox = try #require(started as? RunningSandbox)
        let most = sandbox.layers.landlockABI
        // 0 is no bound, and 1 is not used at all; 7 has nothing that is used beyond 6.
        #expect(abi == 0 || abi > 6 ? most <= 6 && most >= 2 : most == (abi == 1 ? 0 : min(abi, most)))
        #expect(sandbox.layers.missing == (abi == 1 ? [.landlock] : []) && sandbox.layers.isUnsafe)
        let outcome = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": .string(Self.work)]))
        #expect(outcome.text == Self.expected)
        let written = try await sandbox.call(ToolInvocation(id: "b", name: "bash", input: ["command": "(echo x > /proc/self/comm) 2>&1; echo $?"]))
        #expect(written.text.hasSuffix("0") == (abi == 1), "\(written.text)")
        await sandbox.stop()
        await scratch.remove(spawner)
        await spawner.close()
    }
    #endif
}
