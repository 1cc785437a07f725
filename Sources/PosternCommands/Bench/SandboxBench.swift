import PosternJSON
import PosternJSON
import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The sandbox against bare bubblewrap, and a command in a warm one against the same command outside.
struct SandboxBench {
    let isQuick: Bool

    func rows() async throws -> [BenchRow] {
        do {
            let scratch = try ScratchFolder("postern-bench")
            defer { scratch.remove() }
            let spawner = try await Spawner.launch()
            let driver = try BubblewrapDriver(spawner: spawner)
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            defer { close(null) }
            let starts = try await starts(driver, scratch.path, null)
            let commands = try await commands(driver, scratch.path, null)
            for name in try FolderNames.of(scratch.path) { try? await spawner.removeFolder(scratch.path + "/" + name) }
            await spawner.close()
            return starts + commands
        } catch let error as SandboxError {
            throw CommandError(.sandboxFailed, error.message)
        }
    }

    private func spec(_ folder: String, _ name: String) -> SandboxSpec {
        SandboxSpec(sessionID: name, workspace: .managed(directory: "\(folder)/\(name)"), toolOutputs: "\(folder)/\(name)-outputs")
    }

    /// From the request to a sandbox that answers, against bubblewrap with the same binds and other programs, each running /bin/true.
    private func starts(_ driver: BubblewrapDriver, _ folder: String, _ null: Int32) async throws -> [BenchRow] {
        var own: [Double] = []
        let scratch = try ScratchFolder("postern-bench-peers")
        defer { scratch.remove() }
        // A container's root user is another one outside.
        scratch.openForSearch()
        var peers = try SandboxPeer.all(
            bubblewrap: driver.spawner.greeting.bubblewrap ?? "bwrap", folder: folder, scratch: scratch.path)
        for round in 0...(isQuick ? 10 : 50) {
            let clock = ContinuousClock.now
            let sandbox = try await driver.start(spec(folder, "start\(round)"))
            let time = (ContinuousClock.now - clock) / .milliseconds(1)
            await sandbox.stop()
            if round > 0 { own.append(time) }
            for index in peers.indices { peers[index].measure(null, isKept: round > 0) }
        }
        return peers.enumerated().map { index, peer in
            BenchRow(
                name: "sandbox start", unit: "ms", samples: own, peerName: peer.name, peer: peer.samples, sense: "cost", floor: index == 0 ? 2 : nil,
                aim: index == 0 ? 1.5 : nil, note: peer.note)
        }
    }

    /// `/bin/true` in a sandbox that runs already, against `posix_spawn` of it here.
    private func commands(_ driver: BubblewrapDriver, _ folder: String, _ null: Int32) async throws -> [BenchRow] {
        var own: [Double] = []
        var calls: [Double] = []
        var peer: [Double] = []
        let sandbox = try await driver.start(spec(folder, "warm"))
        for round in 0...(isQuick ? 50 : 400) {
            let clock = ContinuousClock.now
            _ = try await sandbox.execute(["/bin/true"], stdin: null, stdout: null, stderr: null)
            let time = (ContinuousClock.now - clock) / .milliseconds(1)
            let start = ContinuousClock.now
            _ = try await sandbox.call(ToolInvocation(id: "call\(round)", name: "bash", input: ["command": "/bin/true"]))
            let call = (ContinuousClock.now - start) / .milliseconds(1)
            let outside = try ProgramTimer.run(["/bin/true"], null)
            guard round > 0 else { continue }
            own.append(time)
            calls.append(call)
            peer.append(outside)
        }
        await sandbox.stop()
        func row(_ name: String, _ samples: [Double]) -> BenchRow {
            BenchRow(name: name, unit: "ms", samples: samples, peerName: "posix_spawn outside", peer: peer, sense: "cost", floor: 3, aim: 1.5)
        }
        return [row("command in a warm sandbox", own), row("bash call in a warm sandbox", calls)]
    }
}

/// The names in a folder.
private enum FolderNames {
    static func of(_ path: String) throws(CommandError) -> [String] {
        guard let folder = opendir(path) else { throw CommandError(.failure, "cannot list \(path)") }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
