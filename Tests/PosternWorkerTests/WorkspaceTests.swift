import ManagedAgentsClient
import PosternJSON
import PosternWorker
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite struct WorkspaceTests {
    @Test func aNewWorkspaceIsSeededByCopyAndAnOldOneKept() async throws {
        let fixture = Fixture()
        let source = fixture.folder + "/seed"
        for folder in [source, source + "/sub", fixture.folder + "/work"] { mkdir(folder, 0o755) }
        symlink("/etc/passwd", source + "/link")
        mkfifo(source + "/fifo", 0o600)
        fixture.append("../seed/sub/run.sh", "echo hi\n")
        chmod(source + "/sub/run.sh", 0o755)
        for _ in 0..<2 {
            try await fixture.serving(fixture.worker { $0.workspaceSource = source }) {
                fixture.service.enqueue("sesn_1")
                fixture.service.emit("sesn_1", FakeService.use("sevt_\(fixture.driver.current.ran.count)", ["say": "x"]))
                let count = fixture.driver.current.ran.count + 1
                await fixture.service.until { $0.results("sesn_1").count == count }
            }
            fixture.append("sesn_1/sub/run.sh", "changed\n")
        }
        #expect(fixture.contents("sesn_1/sub/run.sh") == "echo hi\nchanged\nchanged\n")
        var status = stat()
        #expect(stat(fixture.folder + "/work/sesn_1/sub/run.sh", &status) == 0 && status.st_mode & 0o777 == 0o755)
        #expect(lstat(fixture.folder + "/work/sesn_1/link", &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        #expect(!fixture.exists("sesn_1/fifo"))
    }

    @Test func whatIsKeptOfSessionsThatAreGoneIsRemovedAtTheNextStart() async throws {
        let fixture = Fixture()
        let ids = ["sesn_gone", "sesn_ended", "sesn_alive"]
        try await fixture.serving(fixture.worker { $0.workspaceSource = "/etc/skel" }) {
            for id in ids {
                fixture.service.enqueue(id)
                fixture.service.emit(id, FakeService.use("sevt_\(id)", ["say": "x"]))
                await fixture.service.until { $0.results(id).count == 1 }
            }
        }
        #expect(ids.allSatisfy { fixture.exists($0) })
        mkdir(fixture.folder + "/work/sesn_users", 0o700)  // not this worker's
        fixture.service.change { state in
            state.sessions["sesn_gone"] = nil
            state.sessions["sesn_ended"]?.status = "terminated"
            state.requests = []
        }
        let asked = { @Sendable (state: FakeService.State) in state.requests.filter { $0.target.hasPrefix("/v1/sessions/") }.count }
        let worker = fixture.worker()
        try await fixture.serving(worker) {
            await fixture.service.until { asked($0) == 3 }
            while fixture.exists(".postern/workspaces/sesn_gone") { await Task.yield() }
        }
        #expect(!fixture.exists("sesn_gone"))
        #expect(!fixture.exists("sesn_ended"))
        #expect(fixture.exists("sesn_alive"))
        #expect(fixture.exists("sesn_users"))
    }
}
