import Logging
import ManagedAgentsClient
import PosternJSON
import PosternSandbox
import PosternWorker
import Testing

/// The worker with the real sandbox: the calls of a session run in one shell, over one workspace.
@Suite(.enabled(if: SandboxProbe(bubblewrap: "/usr/bin/bwrap").refusal == nil)) struct RealSandboxTests {
    @Test func aSessionRunsInARealSandbox() async throws {
        let fixture = Fixture()
        let spawner = try await Spawner.launch()
        let worker = Worker(
            configuration: fixture.configuration { $0.toolEnvironment = [(name: "GREETING", value: "hello")] }, transport: fixture.service,
            driver: try BubblewrapDriver(spawner: spawner), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await fixture.serving(worker) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit(
                "sesn_1", FakeService.use("sevt_1", ["command": "cd /tmp && echo $GREETING > /workspace/a"]),
                FakeService.use("sevt_2", ["command": "pwd; env | grep -c -e ANTHROPIC -e POSTERN"]),
                FakeService.use("sevt_3", ["file_path": "a"], name: "read"))
            await fixture.service.until { $0.results("sesn_1").count == 3 }
        }
        await spawner.close()
        var texts: [String: String] = [:]
        for result in fixture.service.current.results("sesn_1") {
            texts[result["tool_use_id"]?.string ?? ""] = result["content"]?.array?.first?["text"]?.string
        }
        #expect(texts == ["sevt_1": "(no output)", "sevt_2": "/tmp\n0", "sevt_3": "hello\n"])
        #expect(fixture.contents("sesn_1/a") == "hello\n")
    }
}
