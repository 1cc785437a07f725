import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// What the init of a sandbox is, looked at from outside, where root sees it.
@Suite(.enabled(if: geteuid() == 0)) struct InitTests {
    /// A spawner that was started with descriptors of somebody else's, under any program that leaks.
    private func leaking(_ mode: Mode) -> Spawner.Configuration {
        var configuration = mode.configuration
        configuration.prefix = ["/bin/bash", "-c", "exec 9</etc/shadow 17</; exec \"$@\"", "leak"] + configuration.prefix
        return configuration
    }

    @Test(arguments: Mode.possible) func holdsNoDescriptorButItsOwn(mode: Mode) async throws {
        let spawner = try await Spawner.launch(leaking(mode))
        #expect(links(of: spawner.processID).contains("/etc/shadow"), "the leak is one")
        for driver in [try BubblewrapDriver(spawner: spawner), NoneDriver(spawner: spawner)] as [any SandboxDriver] {
            let scratch = try Scratch(mode)
            let started = try await driver.start(scratch.spec)
            let sandbox = try #require(started as? RunningSandbox)
            _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": "sleep 1000 & echo started"]))
            let mine = Processes.all().filter {
                field("Uid", $0) == "\(sandbox.user)" && Processes.parent(of: $0) != 0 && isBelow($0, spawner.processID)
            }
            #expect(mine.count >= 3, "init, shell, sleep")
            for pid in mine where pid != spawner.processID {
                let foreign = links(of: pid).filter { link in
                    !["/dev/null", "/workspace", "/mnt/session/tool_outputs", scratch.workspace, scratch.outputs].contains(link)
                        && !["socket:", "pipe:", "anon_inode:", "/memfd:"].contains(where: link.hasPrefix)
                }
                #expect(foreign.isEmpty, "\(driver.name) \(Processes.command(of: pid)): \(foreign)")
            }
            await sandbox.stop()
            await scratch.remove(spawner)
        }
        await spawner.close()
    }

    /// Not dumpable: its files in /proc are root's, whoever it runs as. No capability, no new privileges, one filter, a keyring of its own.
    @Test(arguments: Mode.possible) func isClosed(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            let pid = try await initOf(box)
            for name in ["mem", "environ", "fd", "maps"] {
                var info = stat()
                #expect(stat("/proc/\(pid)/\(name)", &info) == 0 && info.st_uid == 0, "\(name)")
            }
            for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] { #expect(field(name, pid) == "0000000000000000", "\(name)") }
            #expect(field("NoNewPrivs", pid) == "1" && field("Seccomp", pid) == "2" && field("Seccomp_filters", pid) == "1")
            #expect(Processes.text("/proc/\(pid)/environ") == "" || Processes.text("/proc/\(pid)/environ") == "PWD=/workspace\0")
            for line in (Processes.text("/proc/\(pid)/limits") ?? "").split(separator: "\n") where line.hasPrefix("Max core file size") {
                #expect(line.split(separator: " ").suffix(3).prefix(2) == ["1", "1"])
            }
        }
    }

    /// Process 1 of this very sandbox: other tests' sandboxes of the same user may be just starting.
    private func initOf(_ box: Box) async throws -> Int32 {
        let mark = "1\(UInt32.random(in: 100_000...999_999))"
        _ = try await box.sh("sleep \(mark) & echo started")
        var pid = try #require(Processes.ofUser(box.sandbox.user).first { Processes.command(of: $0) == ["sleep", mark] })
        while pid > 1, field("NSpid", pid)?.hasSuffix("\t1") != true { pid = Processes.parent(of: pid) }
        #expect(Processes.command(of: pid).suffix(1) == ["sandbox"])
        return pid
    }

    private func field(_ name: String, _ pid: Int32) -> String? {
        let value = Processes.field(name, of: pid)
        return name == "Uid" ? value?.split(separator: "\t").first.map(String.init) : value
    }

    private func isBelow(_ pid: Int32, _ ancestor: Int32) -> Bool {
        var next = pid
        while next > 1 {
            if next == ancestor { return true }
            next = Processes.parent(of: next)
        }
        return false
    }

    private func links(of pid: Int32) -> [String] {
        AttackScripts.names(in: "/proc/\(pid)/fd").compactMap { name in
            var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
            let length = buffer.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { readlink("/proc/\(pid)/fd/\(name)", $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
            }
            return length < 0 ? nil : String(decoding: buffer[..<length], as: UTF8.self)
        }
    }
}
