import Glibc
import PosternSandbox
import PosternSandboxWire
import Testing

/// Sockets that are made inside and served outside: the only ways out of a sandbox's network.
@Suite struct ListenerTests {
    /// A resolver and ports below 1024, for programs that know nothing of proxies.
    @Test(arguments: Mode.possible) func handsOutLowPorts(mode: Mode) async throws {
        try await Box.with(mode, change: { spec, _ in spec.listeners = SandboxListener.transparent }) { (box: Box) async throws in
            let listeners = box.sandbox.listeners
            try #require(listeners.count == 4)
            #expect(try await box.sh("cat /etc/resolv.conf") == "nameserver 127.0.0.1\noptions timeout:2 attempts:2")
            #expect(try await box.sh("grep hosts /etc/nsswitch.conf") == "hosts: files dns")
            // A name is asked for at the socket that came out.
            _ = try await box.sh("(getent ahostsv4 db.example.com > answer 2>&1; touch asked) >/dev/null 2>&1 &")
            var query = [UInt8](repeating: 0, count: 512)
            var peer = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            wait(for: listeners[0])
            let count = withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(listeners[0], &query, query.count, 0, $0, &length) }
            }
            #expect(count > 12 && String(decoding: query[..<max(0, count)], as: UTF8.self).contains("\u{2}db\u{7}example\u{3}com"))
            // An address of the sandbox's loopback for it, which leads to the socket for 443 on all of them.
            let answer =
                Array(query[..<2]) + [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0] + query[12..<max(12, count)] + [
                    0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 1, 2, 3,
                ]
            let sent = withUnsafePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(listeners[0], answer, answer.count, 0, $0, length) }
            }
            #expect(sent == answer.count)
            #expect(try await box.sh("while [ ! -e asked ]; do sleep 0.01; done; cut -d' ' -f1 answer | sort -u") == "127.1.2.3")
            for (index, port) in [(2, 80), (3, 443)] {
                #expect(try await box.sh("exec 9<>/dev/tcp/127.1.2.3/\(port) && echo dialled") == "dialled")
                let connection = accept(listeners[index], nil, nil)
                #expect(connection >= 0)
                close(connection)
            }
            // Nothing else has changed: no way out, no capability, nobody's root.
            #expect(
                try await box.sh("grep -c : /proc/net/dev; grep '^Cap' /proc/self/status | cut -f2 | sort -u; id -u") == "1\n0000000000000000\n1000")
            #expect(try await box.sh("(echo > /dev/tcp/192.0.2.1/80) 2>&1").contains("Network is unreachable"))
            #expect(try await box.sh("(echo 1 > /proc/sys/net/ipv4/ip_forward) 2>&1").contains("Read-only file system"))
        }
    }

    /// Forwards: any number of ports, in their order.
    @Test(arguments: Mode.possible) func handsOutManyPorts(mode: Mode) async throws {
        let ports = (0..<20).map { UInt16(5000 + $0) }
        try await Box.with(mode, change: { spec, _ in spec.listeners = ports.map { SandboxListener(.tcp, $0) } }) { (box: Box) async throws in
            try #require(box.sandbox.listeners.count == ports.count)
            for index in [0, 7, 8, 19] {
                #expect(try await box.sh("exec 9<>/dev/tcp/127.0.0.1/\(ports[index]) && echo dialled") == "dialled")
                let connection = accept(box.sandbox.listeners[index], nil, nil)
                #expect(connection >= 0)
                close(connection)
            }
            #expect(try await box.sh("cat /etc/resolv.conf") == "# Nothing is resolved in here.")
        }
    }

    @Test func refusesPortsThatCannotBe() async throws {
        let driver = try BubblewrapDriver(spawner: try await Spawners.of(Mode.possible[0]))
        let scratch = try Scratch()
        for listeners in [
            [SandboxListener(.tcp, SandboxPaths.listenerPort)], [SandboxListener(.tcp, 0)],
            [SandboxListener(.tcp, 5432), SandboxListener(.tcp, 5432)],
            (1...65).map { SandboxListener(.tcp, UInt16(2000 + $0)) },
        ] {
            var spec = scratch.spec
            spec.listeners = listeners
            await #expect(throws: SandboxError.self) { try await driver.start(spec) }
        }
        await scratch.remove(driver.spawner)
    }

    @Test func readsItsOwnText() {
        for listener in SandboxListener.transparent + [SandboxListener(.tcp, 65535)] { #expect(SandboxListener(text: listener.text) == listener) }
        for text in ["", "tcp", "tcp:", "tcp:0", "tcp:65536", "sctp:1", "tcp:1:some", "tcp:1:all:", "tcp:-1"] {
            #expect(SandboxListener(text: text) == nil)
        }
    }

    private func wait(for descriptor: Int32) {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&waiting, 1, 10_000)
    }
}
