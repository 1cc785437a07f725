import PosternJSON
import Testing

@testable import PosternCommands

@Suite struct SessionOutcomeTests {
    private func verdict(_ events: [JSON]) -> SessionOutcome.Verdict {
        var outcome = SessionOutcome()
        var last = SessionOutcome.Verdict.goesOn
        for event in events { last = outcome.consume(event) }
        return last
    }

    private func idle(_ reason: String, _ ids: [JSON] = []) -> JSON {
        ["type": "session.status_idle", "id": "sevt_9", "stop_reason": ["type": .string(reason), "event_ids": .array(ids)]]
    }

    @Test func theEndOfATurnIsSuccess() { #expect(verdict([idle("end_turn")]) == .over(.success, "end_turn")) }

    @Test func aCallThatTheWorkerAnswersGoesOn() {
        #expect(verdict([["type": "agent.tool_use", "id": "sevt_1", "name": "bash"], idle("requires_action", ["sevt_1"])]) == .goesOn)
    }

    @Test func aConfirmationIsWaitedForUntilItIsGiven() {
        let ask: JSON = ["type": "agent.tool_use", "id": "sevt_1", "name": "bash", "evaluated_permission": "ask"]
        #expect(verdict([ask, idle("requires_action", ["sevt_1"])]) == .over(.sessionWaits, "waits for confirmation of bash (sevt_1)"))
        let allow: JSON = ["type": "user.tool_confirmation", "id": "sevt_2", "tool_use_id": "sevt_1", "result": "allow"]
        #expect(verdict([ask, allow, idle("requires_action", ["sevt_1"])]) == .goesOn)
    }

    @Test func aCustomToolIsNobodysHere() {
        let call: JSON = ["type": "agent.custom_tool_use", "id": "sevt_1", "name": "deploy"]
        #expect(verdict([call, idle("requires_action", ["sevt_1"])]) == .over(.sessionWaits, "waits for the result of deploy (sevt_1)"))
    }

    @Test func failuresSayWhy() {
        let error: JSON = ["type": "session.error", "id": "sevt_1", "error": ["message": "the model is overloaded"]]
        #expect(verdict([error, idle("retries_exhausted")]) == .over(.sessionFailed, "retries_exhausted: the model is overloaded"))
        #expect(verdict([["type": "session.status_terminated"]]) == .over(.sessionFailed, "terminated"))
        #expect(verdict([idle("a_reason_of_tomorrow")]) == .over(.sessionFailed, "a_reason_of_tomorrow"))
    }
}
