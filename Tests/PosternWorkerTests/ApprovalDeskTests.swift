import Testing

@testable import PosternWorker

@Suite struct ApprovalDeskTests {
    /// A control plane that gives two calls one id must not have one answer count for the other.
    @Test func twoQuestionsOfOneCallHaveIdsOfTheirOwn() async throws {
        let desk = ApprovalDesk()
        let question = ApprovalQuestion(callID: "sevt_1", sessionID: "s", agentID: nil, subject: .tool, summary: "bash", rule: nil, reason: "it asks")
        let first = Task { try await desk.ask(question) { try await Task.sleep(for: .seconds(60)) } }
        let second = Task { try await desk.ask(question) { try await Task.sleep(for: .seconds(60)) } }
        while await desk.waiting.count < 2 { await Task.yield() }
        let waiting = await desk.waiting
        #expect(Set(waiting.map(\.id)).count == 2 && waiting.allSatisfy { $0.callID == "sevt_1" && $0.id != "sevt_1" })
        #expect(await !desk.answer("sevt_1", ApprovalAnswer(isAllowed: true, by: "test")))
        for (index, question) in waiting.enumerated() {
            #expect(await desk.answer(question.id, ApprovalAnswer(isAllowed: index == 0, by: "test")))
        }
        let answers = [try await first.value, try await second.value]
        #expect(answers.count { $0.isAllowed } == 1)
    }
}
