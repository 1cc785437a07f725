import PosternAudit
import PosternJSON
import PosternSandbox
@testable import PosternWorker
import Testing

@Suite struct WorkerMetricsTests {
    @Test func countsSessionsCallsResultsAndPolls() async throws {
        let fixture = Fixture()
        let worker = fixture.worker()
        try await fixture.serving(worker) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "hello"]))
            fixture.service.emit("sesn_1", FakeService.use("sevt_2", ["fail": "no"]))
            await fixture.service.until { $0.results("sesn_1").count == 2 }
            let now = await worker.metrics.rendered()
            #expect(now.contains("\npostern_worker_sessions 1\n"))
            #expect(now.contains("\npostern_worker_poll_state{state=\"polling\"} 1\n"))
            #expect(now.contains("\npostern_worker_poll_state{state=\"stopped\"} 0\n"))
        }
        let text = await worker.metrics.rendered()
        for line in [
            "postern_worker_tool_calls_total{tool=\"bash\",outcome=\"succeeded\"} 1",
            "postern_worker_tool_calls_total{tool=\"bash\",outcome=\"failed\"} 1",
            "postern_worker_tool_call_seconds_count{tool=\"bash\"} 2", "postern_worker_results_total 2", "postern_worker_sessions 0",
            "postern_worker_sessions_total 1", "postern_worker_sessions_ended_total{reason=\"drained\"} 1",
            "postern_worker_sandbox_starts_total{outcome=\"started\"} 1", "postern_worker_polls_total{outcome=\"item\"} 1",
            "postern_worker_audit_records_total{kind=\"intent\"} 2", "postern_worker_audit_records_total{kind=\"worker_stop\"} 1",
            "postern_worker_audit_failures_total 0", "postern_worker_poll_state{state=\"stopped\"} 1",
        ] { #expect(text.contains("\n\(line)\n"), "\(line)") }
        #expect(worker.statistics == WorkerStatistics(sessions: 1, active: 0, calls: 2, bytesPosted: worker.statistics.bytesPosted))
        #expect(worker.statistics.bytesPosted > 100)
    }

    @Test func noLabelHoldsASessionOrAModelsWord() async throws {
        let fixture = Fixture()
        let worker = fixture.worker()
        try await fixture.serving(worker) {
            fixture.service.enqueue("sesn_1")
            // A tool whose name a model or an agent's author has made up.
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "hello"], name: "exfiltrate\n{}\""))
            fixture.service.emit("sesn_1", FakeService.use("sevt_2", ["say": "x"]))
            await fixture.service.until { !$0.results("sesn_1").isEmpty }
        }
        let text = await worker.metrics.rendered()
        #expect(!text.contains("sesn_1") && !text.contains("exfiltrate") && !text.contains("sevt_") && !text.contains("env_1"))
        #expect(WorkerMetrics.label(tool: "exfiltrate") == "other" && WorkerMetrics.label(tool: "grep") == "grep")
    }

    @Test func aSandboxThatDoesNotStartIsCounted() async throws {
        let fixture = Fixture(driver: FakeDriver(refusesToStart: true))
        let worker = fixture.worker()
        try await fixture.serving(worker) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "hello"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
        }
        let text = await worker.metrics.rendered()
        let starts = text.split(separator: "\n").first { $0.hasPrefix("postern_worker_sandbox_starts_total{outcome=\"failed\"}") }
        #expect(starts.flatMap { Int($0.split(separator: " ")[1]) }.map { $0 >= 1 } == true)
        #expect(text.contains("\npostern_worker_sandboxes 0\n"))
    }

    @Test func aFrozenSessionAndAnOpenQuestionShow() async throws {
        let fixture = Fixture()
        let worker = fixture.worker()
        try await fixture.serving(worker) {
            fixture.service.enqueue("sesn_1")
            fixture.service.emit("sesn_1", FakeService.use("sevt_1", ["say": "hello"]))
            await fixture.service.until { $0.results("sesn_1").count == 1 }
            #expect(await worker.metrics.rendered().contains("\npostern_worker_approvals_open 0\n"))
            let question = ApprovalQuestion(
                sessionID: "sesn_1", agentID: nil, subject: .tool, summary: "bash", rule: nil, reason: "asked for")
            let asking = Task { try await worker.desk.ask(question) { try await Task.sleep(for: .seconds(3600)) } }
            while await worker.desk.waiting.isEmpty { await Task.yield() }
            #expect(await worker.metrics.rendered().contains("\npostern_worker_approvals_open 1\n"))
            asking.cancel()
        }
    }

    @Test func auditRecordsAreCountedByWhatTheySay() async {
        let metrics = WorkerMetrics()
        func tell(_ kind: AuditRecord.Kind, _ fate: AuditFate = .written) {
            metrics.auditObserver.observe(AuditRecord(time: "2026-01-01T00:00:00Z", sessionID: "sesn_1", kind: kind), fate)
        }
        tell(.workerStarted(.init(name: "w", version: "1", driver: "bubblewrap", layers: ["seccomp", "landlock"])))
        tell(.layerOff(layer: "landlock", reason: "the kernel has none"))
        let refusal = AuditRecord.EgressRequest(
            id: "call-1", host: "evil.example", port: 443, method: "", rule: nil, decision: "policy: no rule allows it")
        tell(.egressRefused(refusal))
        tell(.egressRefused(refusal), .folded)
        tell(.egressOutcome(.init(id: "call-2", status: 200, bytesSent: 7, bytesReceived: 11, milliseconds: 1, error: nil)))
        tell(.redacted(.init(door: "result", action: "mask", counts: ["email": 3])))
        tell(.budget(.init(scope: "session", limit: 1, used: 1, state: "exhausted")))
        tell(.approval(.init(subject: "tool", isAllowed: false, by: "time-out", rule: nil)))
        tell(.approval(.init(subject: "tool", isAllowed: true, by: "local control", rule: nil)))
        tell(.intent(input: .init(digest: "", bytes: 0)), .failed)
        let text = await metrics.rendered()
        for line in [
            "postern_worker_layer_missing{layer=\"seccomp\"} 0", "postern_worker_layer_missing{layer=\"landlock\"} 1",
            "postern_worker_egress_refusals_total{reason=\"policy\"} 2", "postern_worker_egress_bytes_total{direction=\"sent\"} 7",
            "postern_worker_egress_bytes_total{direction=\"received\"} 11", "postern_worker_egress_calls_total{outcome=\"completed\"} 1",
            "postern_worker_redactions_total{door=\"result\",rule=\"email\",action=\"mask\"} 3",
            "postern_worker_budgets_exhausted_total{scope=\"session\"} 1",
            "postern_worker_approvals_total{subject=\"tool\",answer=\"timed_out\"} 1",
            "postern_worker_approvals_total{subject=\"tool\",answer=\"allowed\"} 1", "postern_worker_audit_failures_total 1",
            "postern_worker_audit_records_total{kind=\"egress_refused\"} 2",
        ] { #expect(text.contains("\n\(line)\n"), "\(line)") }
        #expect(!text.contains("evil.example") && !text.contains("kind=\"intent\""))
    }
}
