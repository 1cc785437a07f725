import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// Every process of a sandbox is in all of its control groups, by whichever way the kernel lets the first one in.
@Suite(.enabled(if: geteuid() == 0)) struct GroupEntryTests {
    /// Refuses clone3 with ENOSYS, as filters of container engines do, and goes on as the rest of the command line.
    private static let withoutClone3 = """
        import ctypes, os, struct, sys
        # BPF: load the call's number; 435 answers ENOSYS, the rest is allowed.
        code = b"".join(struct.pack("HBBI", *line) for line in
            [(0x20, 0, 0, 0), (0x15, 0, 1, 435), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)])
        program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(keep := ctypes.create_string_buffer(code))))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.addressof(program), 0, 0) == 0
        assert libc.syscall(435, 0, 0) == -1 and ctypes.get_errno() == 38
        os.execvp(sys.argv[1], sys.argv[1:])
        """

    @Test(arguments: [true, false]) func putsEveryProcessIntoItsGroups(hasClone3: Bool) async throws {
        var configuration = Mode.root.configuration
        if !hasClone3 { configuration.prefix = ["/usr/bin/python3", "-c", Self.withoutClone3] }
        let spawner = try await Spawner.launch(configuration)
        let scratch = try Scratch(.root)
        let started = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        let sandbox = try #require(started as? RunningSandbox)
        _ = try await sandbox.call(ToolInvocation(id: "a", name: "bash", input: ["command": "setsid sleep 1000 & echo started"]))
        let members = Processes.all().filter { Processes.field("Uid", of: $0)?.hasPrefix("\(sandbox.user)\t") == true }
        #expect(members.count >= 4, "bwrap, init, shell, sleep")
        let groups = Set(members.map(Self.groups))
        #expect(groups.count == 1, "\(groups)")
        let expected = Self.hierarchies()
        #expect(!expected.isEmpty && groups.first?.count == expected.count, "\(groups) in \(expected)")
        await sandbox.stop()
        await scratch.remove(spawner)
        await spawner.close()
    }

    /// The lines of the process's control groups that are a sandbox's.
    private static func groups(of pid: Int32) -> [String] {
        (Processes.text("/proc/\(pid)/cgroup") ?? "").split(separator: "\n").filter { $0.contains("/postern-sandboxes-") }.map(String.init)
    }

    /// The trees in which a sandbox gets a group.
    private static func hierarchies() -> Set<String> {
        let layout = CgroupLayout(mountInfo: Processes.text("/proc/self/mountinfo") ?? "", groups: Processes.text("/proc/self/cgroup") ?? "") {
            Processes.text($0 + "/cgroup.controllers")
        }
        return Set((CgroupLayout.Controller.allCases.compactMap { layout.hierarchy(of: $0)?.folder }) + (layout.unified.map { [$0.folder] } ?? []))
    }
}
