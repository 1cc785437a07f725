import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

extension FileTool {
    /// Section 8.7 of the tool contract, but nothing is cut: much output is offloaded.
    func grep(_ input: JSON) throws(ToolFailure) -> ToolAnswer {
        let input = try ToolInput(tool: "grep", input, allowed: ["pattern", "path"])
        let pattern = try input.string("pattern")
        guard !pattern.utf8.contains(0) else { throw ToolFailure("grep: pattern must not contain a NUL character") }
        let path = try input.optionalPath("path") ?? roots.workspace
        let resolved = try roots.resolve("grep", path)
        if let info = Posix.status(AT_FDCWD, resolved.bytes, follow: false), !Posix.isKind(info, S_IFREG), !Posix.isKind(info, S_IFDIR) {
            throw ToolFailure("grep: \(path): not a regular file or directory")
        }
        if let ripgrep { return try search(with: ripgrep, pattern, resolved) }
        return try search(pattern, path, resolved)
    }

    /// The first `rg` on PATH that the session cannot have put there.
    private var ripgrep: String? {
        Program.folders(environment).map { "\($0)/rg" }.first { path in
            guard Program.isExecutable(path) else { return false }
            return (try? roots.resolve("grep", path)) == nil
        }
    }

    private func search(with program: String, _ pattern: String, _ resolved: ToolRoots.Resolved) throws(ToolFailure) -> ToolAnswer {
        var pipes: [Int32] = [-1, -1]
        guard psb_pipe(&pipes) == 0 else { throw ToolFailure("grep: pipe: \(SystemError.reason(errno))") }
        defer { close(pipes[0]) }
        let errors = psb_memory_file("errors")
        let null = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer {
            close(errors)
            close(null)
        }
        let pid: pid_t
        do throws(SystemFailure) {
            pid = try ProcessStart(
                path: program, arguments: ["rg", "--no-config", "-n", "--no-heading", "-e", pattern, "--", resolved.text], environment: environment,
                descriptors: [null, pipes[1], errors], newSession: false, dieWithParent: true
            ).start()
        } catch {
            close(pipes[1])
            throw ToolFailure("grep: rg failed: \(SystemError.reason(error.code))")
        }
        close(pipes[1])
        var collector = OutputCollector(threshold: threshold, store: store, fileName: call, isTerminalOutput: false)
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            while true {
                let count = Glibc.read(pipes[0], buffer.baseAddress, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                collector.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
            }
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let output = collector.finish()
        switch ExitCode(status).code {
        case 0: return ToolAnswer(output)
        case 1: return ToolAnswer(text: "no matches")
        default:
            var text = [UInt8](repeating: 0, count: 8192)
            lseek(errors, 0, SEEK_SET)
            let count = text.withUnsafeMutableBytes { Posix.read(errors, into: $0) } ?? 0
            var reason = String(decoding: text[..<count], as: UTF8.self)
            while reason.hasSuffix("\n") { reason.removeLast() }
            throw ToolFailure("grep: rg failed: \(reason)")
        }
    }

    // MARK: Without ripgrep

    private static let mostFiles = 50_000
    private static let longestLine = 2000

    private func search(_ pattern: String, _ path: String, _ resolved: ToolRoots.Resolved) throws(ToolFailure) -> ToolAnswer {
        let expression: Regex<AnyRegexOutput>
        do {
            expression = try Regex(pattern)
        } catch {
            throw ToolFailure("grep: invalid regex: \(error)")
        }
        guard let info = Posix.status(AT_FDCWD, resolved.bytes, follow: false) else { throw ToolFailure("grep", path, code: errno) }
        var collector = OutputCollector(threshold: threshold, store: store, fileName: call, isTerminalOutput: false)
        var found = 0
        var files = 0
        var waiting = [resolved.bytes]
        var isFolder = Posix.isKind(info, S_IFDIR)
        while let next = waiting.popLast(), files < Self.mostFiles {
            if !isFolder {
                found += matches(of: expression, in: next, &collector)
                break
            }
            let folder = Posix.open(AT_FDCWD, next, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard folder >= 0 else { continue }
            defer { close(folder) }
            for name in (Posix.names(of: folder) ?? []).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
                guard let entry = Posix.status(folder, name, follow: false) else { continue }
                let full = next + [0x2F] + name
                if Posix.isKind(entry, S_IFDIR) {
                    if name != Array(".git".utf8), name != Array("node_modules".utf8) { waiting.append(full) }
                } else if Posix.isKind(entry, S_IFREG), files < Self.mostFiles {
                    files += 1
                    found += matches(of: expression, in: full, &collector)
                }
            }
            isFolder = true
        }
        if files == Self.mostFiles { collector.append(Array("[only the first \(Self.mostFiles) files were searched]\n".utf8)) }
        return found == 0 ? ToolAnswer(text: "no matches") : ToolAnswer(collector.finish())
    }

    /// Appends the matching lines of one file, which is read in bounded pieces.
    private func matches(of expression: Regex<AnyRegexOutput>, in path: [UInt8], _ collector: inout OutputCollector) -> Int {
        let file = Posix.open(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var found = 0
        var number = 0
        var line: [UInt8] = []
        var isLong = false
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var isFirst = true
        func test() {
            number += 1
            let text = String(decoding: line, as: UTF8.self)
            if !isLong, (try? expression.firstMatch(in: text)) != nil {
                found += 1
                collector.append(path + Array(":\(number):\(text)\n".utf8))
            }
            line.removeAll(keepingCapacity: true)
            isLong = false
        }
        while let count = buffer.withUnsafeMutableBytes({ Posix.read(file, into: $0) }), count > 0 {
            if isFirst, buffer[..<min(512, count)].contains(0) { return 0 }
            isFirst = false
            for part in buffer[..<count].split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
                if part.offset > 0 { test() }
                if line.count + part.element.count > Self.longestLine { isLong = true } else { line.append(contentsOf: part.element) }
            }
        }
        if !line.isEmpty || isLong { test() }
        return found
    }
}
