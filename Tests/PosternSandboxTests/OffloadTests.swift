import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

@Suite struct OffloadTests {
    @Test func keepsWhatFitsAndOffloadsTheRest() async throws {
        try await Box.with(change: { spec, _ in spec.offloadThreshold = 1000 }) { (box: Box) async throws in
            let fits = try await box.bash("head -c 1000 /dev/zero | tr '\\0' é")
            #expect(fits.offloadedTo == nil)
            let exact = try await box.call(
                "bash", ["command": "for i in $(seq 500); do printf é; done; printf 'x%.0s' {1..500}; echo"], id: "sevt_exact")
            #expect(exact.offloadedTo == nil && exact.text.unicodeScalars.count == 1000 && exact.outputBytes == 1500)
            let more = try await box.call(
                "bash", ["command": "printf '\\e[1m'; for i in $(seq 5000); do echo line $i; done; printf '\\xff\\n\\n'"], id: "sevt_more")
            #expect(more.offloadedTo == "/mnt/session/tool_outputs/sevt_more.txt")
            #expect(!more.isError)
            #expect(more.outputLines == 5001)
            #expect(
                more.text.hasPrefix(
                    "[This output is too large for one result: \(more.outputBytes) bytes in 5001 lines. All of it is in /mnt/session/tool_outputs/sevt_more.txt."
                ))
            #expect(more.text.contains("\n\nline 1\nline 2\n") && more.text.contains("\nline 4999\nline 5000\n\u{FFFD}"))
            #expect(more.text.utf8.count < 10_000)
            // The file is the whole text as a result would have shown it.
            #expect(try await box.sh("wc -c < /mnt/session/tool_outputs/sevt_more.txt") == "\(more.outputBytes)")
            #expect(
                try await box.call("read", ["file_path": "/mnt/session/tool_outputs/sevt_more.txt", "view_range": [2500, 2501]]).text
                    == "line 2500\nline 2501")
            #expect(
                try await box.call("grep", ["pattern": "^line 4242$", "path": "/mnt/session/tool_outputs/sevt_more.txt"]).text == "4242:line 4242\n")
            let failed = try await box.call("bash", ["command": "seq 2000; exit 5"], id: "sevt_failed")
            #expect(failed.isError && failed.exitCode == 5 && failed.offloadedTo != nil)
        }
    }

    @Test func previewsFilesWithoutCopying() async throws {
        try await Box.with(change: { spec, _ in spec.offloadThreshold = 1000 }) { (box: Box) async throws in
            _ = try await box.sh("seq 3000 > big")
            let read = try await box.call("read", ["file_path": "big"])
            #expect(read.offloadedTo == nil && !read.isError)
            #expect(
                read.text.hasPrefix(
                    "[This file is too large for one result: 13893 bytes in 3000 lines. To read on, use read with file_path \"/workspace/big\""))
            #expect(read.text.contains("\n\n1\n2\n3\n") && read.text.hasSuffix("\n2999\n3000\n"))
            #expect(try await box.sh("ls /mnt/session/tool_outputs") == "(no output)")
            let grep = try await box.call("grep", ["pattern": "1"], id: "sevt_grep")
            #expect(grep.offloadedTo == "/mnt/session/tool_outputs/sevt_grep.txt")
            _ = try await box.sh("mkdir many; cd many; touch $(seq 1000)")
            let glob = try await box.call("glob", ["pattern": "**/*"], id: "sevt_glob")
            #expect(glob.offloadedTo == "/mnt/session/tool_outputs/sevt_glob.txt" && glob.outputLines == 1002)
        }
    }

    @Test(arguments: Mode.possible) func survivesAFloodInBoundedMemory(mode: Mode) async throws {
        try await Box.with(mode, change: { spec, _ in spec.limits.toolOutputBytes = 256 << 10 }) { (box: Box) async throws in
            // Small enough to be reached on a machine that is busy with other tests.
            let flood = try await box.bash("yes 'a line of the flood'", timeout: 5000)
            #expect(flood.timedOut && flood.isError)
            #expect(flood.text.hasPrefix("bash: bash command timed out after 5.0s\n[This output is too large for one result: "))
            #expect(flood.text.contains("The disk limit of 262144 bytes for tool outputs is reached, so "))
            #expect(flood.outputBytes > 256 << 10)
            // Without a newline, and newlines only.
            let long = try await box.bash("head -c 30000000 /dev/zero | tr '\\0' x")
            #expect(long.outputBytes == 30_000_000 && long.text.utf8.count < 10_000)
            let empty = try await box.bash("yes '' | head -c 3000000; echo end")
            #expect(empty.outputBytes == 3_000_003)
            let memory = try await box.sh("grep VmHWM /proc/1/status || true; ls -l /mnt/session/tool_outputs | wc -l")
            #expect(!memory.isEmpty)
            let peak = Processes.peakMemory(ofInitUser: box.sandbox.user)
            #expect(peak > 0 && peak < 64 << 10, "peak resident memory of postern-init: \(peak) KiB")
        }
    }

    @Test func survivesARestartOfTheSandbox() async throws {
        let spawner = try await Spawners.of(Mode.possible[0])
        let scratch = try Scratch()
        var spec = scratch.spec
        spec.offloadThreshold = 100
        let driver = try BubblewrapDriver(spawner: spawner)
        let first = try await driver.start(spec)
        _ = try await first.call(ToolInvocation(id: "sevt_kept", name: "bash", input: ["command": "echo here > f; seq 1000"]))
        await first.stop()
        await first.stop()
        await #expect(throws: SandboxError.self) { try await first.call(ToolInvocation(id: "x", name: "bash", input: ["command": "true"])) }
        let second = try await driver.start(spec)
        let input: JSON = ["command": "cat f; tail -1 /mnt/session/tool_outputs/sevt_kept.txt"]
        #expect(try await second.call(ToolInvocation(id: "sevt_2", name: "bash", input: input)).text == "here\n1000")
        await second.stop()
        await scratch.remove(spawner)
    }

    @Test func refusesUnsafeNames() async throws {
        try await Box.with { (box: Box) async throws in
            for id in ["../x", "", ".x", "a/b", "a b", String(repeating: "x", count: 129)] {
                await #expect(throws: SandboxError.self) { try await box.call("bash", ["command": "true"], id: id) }
            }
        }
        for workspace in ["relative", "/tmp/../etc", "/"] {
            await #expect(throws: SandboxError.self) {
                try await Box.with(change: { spec, _ in spec.workspace = .managed(directory: workspace) }) { _ in }
            }
        }
    }
}

/// Looks at processes from outside.
enum Processes {
    static func all() -> [Int32] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [Int32] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if let pid = Int32(name) { found.append(pid) }
        }
        return found
    }

    static func text(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(file, &buffer, buffer.count)
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += buffer[..<count]
        }
    }

    static func field(_ name: String, of pid: Int32, in file: String = "status") -> String? {
        text("/proc/\(pid)/\(file)")?.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            .map { $0.dropFirst(name.count + 1).trimmingPrefix { $0 == " " || $0 == "\t" } }.map(String.init)
    }

    static func command(of pid: Int32) -> [String] { (text("/proc/\(pid)/cmdline") ?? "").split(separator: "\0").map(String.init) }

    static func ofUser(_ user: Int) -> [Int32] { all().filter { field("Uid", of: $0)?.split(separator: "\t").first == "\(user)" } }

    static func parent(of pid: Int32) -> Int32 { field("PPid", of: pid).flatMap { Int32($0) } ?? 0 }

    /// `root` and all that descends from it.
    static func tree(below root: Int32) -> [Int32] {
        let parents = Dictionary(all().map { ($0, parent(of: $0)) }) { one, _ in one }
        var found = [root]
        var next = found
        while !next.isEmpty {
            next = parents.filter { next.contains($0.value) }.map(\.key)
            found += next
        }
        return found
    }

    /// Peak resident KiB of the largest init of that user.
    static func peakMemory(ofInitUser user: Int) -> Int {
        ofUser(user).filter { command(of: $0).last == "sandbox" && command(of: $0).count == 2 }
            .compactMap { field("VmHWM", of: $0)?.split(separator: " ").first.flatMap { Int($0) } }.max() ?? 0
    }
}
