import PosternJSON
import PosternWorker
import SeededRandom
import Testing

@Suite struct SessionToolMachineTests {
    private static let names: Set<String> = ["bash", "read"]

    private func machine(maximumIdle: Duration? = .seconds(60)) -> SessionToolMachine {
        SessionToolMachine(owned: Self.names, maximumIdle: maximumIdle)
    }

    private func use(_ id: String, name: String = "bash", permission: String? = "allow", thread: String? = nil) -> JSON {
        var event: JSONObject = ["type": "agent.tool_use", "id": .string(id), "name": .string(name), "input": [:]]
        if let permission { event["evaluated_permission"] = .string(permission) }
        if let thread { event["session_thread_id"] = .string(thread) }
        return .object(event)
    }

    private func result(_ id: String) -> JSON { ["type": "user.tool_result", "tool_use_id": .string(id)] }
    private func verdict(_ id: String, _ word: String) -> JSON {
        ["type": "user.tool_confirmation", "tool_use_id": .string(id), "result": .string(word)]
    }
    private let endTurn: JSON = ["type": "session.status_idle", "stop_reason": ["type": "end_turn"]]
    private let requiresAction: JSON = ["type": "session.status_idle", "stop_reason": ["type": "requires_action"]]

    private func live(_ event: JSON) -> SessionToolMachine.Input { .live(type: event["type"]?.string ?? "", event: event) }

    private func runs(_ actions: [SessionToolMachine.Action]) -> [String] {
        actions.compactMap { if case .run(let call) = $0 { call.id } else { nil } }
    }

    @Test func runsOneAtATimeInArrivalOrder() {
        var machine = machine()
        #expect(runs(machine.handle(.history([use("1"), use("2"), result("0")]), now: .zero)) == ["1"])
        #expect(runs(machine.handle(live(use("3")), now: .zero)).isEmpty)
        #expect(runs(machine.handle(.executed("1"), now: .zero)) == ["2"])  // while the result of 1 is still being sent
        #expect(runs(machine.handle(.posted("1"), now: .zero)).isEmpty)
        #expect(runs(machine.handle(.executed("2"), now: .zero)) == ["3"])
    }

    @Test func doesNotRunWhatIsAnsweredOrRepeated() {
        var machine = machine()
        #expect(
            runs(machine.handle(.history([use("1"), result("1"), use("2"), ["type": "agent.tool_result", "tool_use_id": "2"]]), now: .zero)).isEmpty)
        #expect(runs(machine.handle(live(use("1")), now: .zero)).isEmpty)
        #expect(runs(machine.handle(live(use("3")), now: .zero)) == ["3"])
        #expect(runs(machine.handle(live(use("3")), now: .zero)).isEmpty)
        #expect(runs(machine.handle(.executed("3"), now: .zero)).isEmpty)
        _ = machine.handle(.posted("3"), now: .zero)
        #expect(runs(machine.handle(.history([use("3")]), now: .zero)).isEmpty)
    }

    @Test(arguments: [("ask", "allow", true), ("ask", "deny", false), ("ask", "maybe", false), ("deny", "allow", false), ("new", "allow", true)])
    func permissions(_ permission: String, _ word: String, _ isRun: Bool) {
        for confirmedFirst in [false, true] {
            var machine = machine()
            var actions = confirmedFirst ? machine.handle(.history([use("1", permission: permission), verdict("1", word)]), now: .zero) : []
            if !confirmedFirst {
                #expect(machine.handle(.history([use("1", permission: permission)]), now: .zero).isEmpty)
                actions = machine.handle(live(verdict("1", word)), now: .zero)
            }
            #expect(runs(actions) == (isRun ? ["1"] : []))
        }
    }

    @Test func aDenyVerdictStopsACallThatNeededNone() {
        var machine = machine()
        #expect(machine.handle(.history([use("1"), verdict("1", "deny")]), now: .zero).isEmpty)
    }

    @Test func unknownNamesAndOtherKindsAreLeftAlone() {
        var machine = machine()
        let custom: JSON = ["type": "agent.custom_tool_use", "id": "c", "name": "bash", "input": [:]]
        let mcp: JSON = ["type": "agent.mcp_tool_use", "id": "m", "name": "bash", "input": [:]]
        #expect(machine.handle(.history([use("1", name: "deploy"), custom, mcp]), now: .zero).isEmpty)
    }

    @Test func callsOfATerminatedThreadAreDropped() {
        var machine = machine()
        let end: JSON = ["type": "session.thread_status_terminated", "session_thread_id": "t"]
        #expect(runs(machine.handle(.history([use("1", thread: "t"), use("2", thread: "t")]), now: .zero)) == ["1"])
        #expect(machine.handle(live(end), now: .zero) == [.cancel("1", answer: false)])
        #expect(machine.handle(.executed("1"), now: .zero).isEmpty)
        #expect(machine.handle(live(use("3", thread: "t")), now: .zero).isEmpty)
    }

    @Test func aFailedHistoryDispatchesNothing() {
        var machine = machine()
        #expect(machine.handle(.historyFailed, now: .zero).isEmpty)
        #expect(runs(machine.handle(live(use("1")), now: .zero)) == ["1"])
        #expect(runs(machine.handle(.history([use("0"), use("1")]), now: .zero)).isEmpty)
        #expect(runs(machine.handle(.executed("1"), now: .zero)) == ["0"])
    }

    @Test func anUnacceptedResultIsSentAgainNotRunAgain() {
        var machine = machine()
        _ = machine.handle(.history([use("1")]), now: .zero)
        _ = machine.handle(.executed("1"), now: .zero)
        #expect(machine.handle(.postFailed("1"), now: .zero).isEmpty)
        let actions = machine.handle(.history([use("1")]), now: .zero)
        #expect(actions.count == 1 && runs(actions).isEmpty)
        if case .resend(let call)? = actions.first { #expect(call.id == "1") } else { Issue.record("no resend") }
        _ = machine.handle(.postFailed("1"), now: .zero)
        #expect(machine.handle(.history([use("1"), result("1")]), now: .zero).isEmpty)
    }

    // MARK: The idle clock

    @Test func idlenessEndsTheSession() {
        var machine = machine()
        _ = machine.handle(.history([]), now: .zero)
        #expect(machine.deadline == .seconds(60))  // nobody has spoken to it yet
        _ = machine.handle(live(["type": "user.message"]), now: .seconds(1))
        #expect(machine.deadline == nil)
        _ = machine.handle(live(endTurn), now: .seconds(10))
        #expect(machine.deadline == .seconds(70))
        #expect(machine.handle(.timer, now: .seconds(69)).isEmpty)
        #expect(machine.handle(.timer, now: .seconds(70)) == [.end(.idle)])
        #expect(machine.handle(live(use("1")), now: .seconds(71)).isEmpty)
    }

    @Test func neutralEventsDoNotTouchTheClock() {
        var machine = machine()
        _ = machine.handle(.history([endTurn, verdict("x", "allow")]), now: .zero)
        #expect(machine.deadline == .seconds(60))
        _ = machine.handle(live(verdict("y", "deny")), now: .seconds(5))
        _ = machine.handle(live(["type": "session.thread_status_terminated", "session_thread_id": "t"]), now: .seconds(6))
        #expect(machine.deadline == .seconds(60))
        _ = machine.handle(live(["type": "session.usage"]), now: .seconds(7))
        #expect(machine.deadline == nil)
    }

    @Test func requiresActionDoesNotArm() {
        var machine = machine()
        _ = machine.handle(.history([use("1", permission: "ask"), requiresAction]), now: .zero)
        #expect(machine.deadline == nil)
        _ = machine.handle(live(requiresAction), now: .zero)
        #expect(machine.deadline == nil)
        _ = machine.handle(live(["type": "session.status_idle", "stop_reason": ["type": "something_new"]]), now: .seconds(1))
        #expect(machine.deadline == nil)  // the gated call still waits
        _ = machine.handle(live(verdict("1", "deny")), now: .seconds(20))
        #expect(machine.deadline == .seconds(80))  // the last release starts it afresh
    }

    @Test func runningCallsPauseTheClock() {
        var machine = machine()
        _ = machine.handle(.history([]), now: .zero)
        _ = machine.handle(live(use("1")), now: .zero)
        _ = machine.handle(live(endTurn), now: .seconds(1))
        #expect(machine.deadline == nil)
        _ = machine.handle(.executed("1"), now: .seconds(100))
        #expect(machine.deadline == nil)
        _ = machine.handle(.posted("1"), now: .seconds(101))
        #expect(machine.deadline == .seconds(161))
    }

    @Test func anUnownedCallReleasedByAnAllowVerdictDisarms() {
        var machine = machine()
        _ = machine.handle(.history([]), now: .zero)
        _ = machine.handle(live(use("1", name: "deploy", permission: "ask")), now: .zero)
        _ = machine.handle(live(endTurn), now: .seconds(1))
        _ = machine.handle(live(verdict("1", "allow")), now: .seconds(2))
        #expect(machine.deadline == nil)
    }

    @Test func anUnansweredForeignCallKeepsTheHistoryFromArming() {
        var machine = machine()
        _ = machine.handle(.history([use("1", name: "deploy"), endTurn]), now: .zero)
        #expect(machine.deadline == nil)
        _ = machine.handle(live(endTurn), now: .seconds(1))
        #expect(machine.deadline == .seconds(61))
    }

    @Test func neverMeansNever() {
        var machine = machine(maximumIdle: nil)
        _ = machine.handle(.history([endTurn]), now: .zero)
        #expect(machine.deadline == nil)
    }

    // MARK: Ends

    @Test(arguments: ["session.status_terminated", "session.deleted"]) func theSessionsEnd(_ type: String) {
        var machine = machine()
        _ = machine.handle(.history([use("1")]), now: .zero)
        #expect(machine.handle(live(["type": .string(type)]), now: .zero) == [.cancel("1", answer: false), .end(.sessionEnded)])
    }

    @Test func drainCancelsAnswersAndEnds() {
        var machine = machine()
        _ = machine.handle(.history([use("1"), use("2")]), now: .zero)
        #expect(machine.handle(.drain, now: .zero) == [.cancel("1", answer: true)])
        #expect(machine.handle(.executed("1"), now: .zero).isEmpty)
        #expect(machine.handle(.posted("1"), now: .zero) == [.end(.drained)])
        var idle = self.machine()
        #expect(idle.handle(.drain, now: .zero) == [.end(.drained)])
    }

    /// Random logs, reconnects, verdicts and outcomes: no call runs twice, one at a time, none without leave.
    @Test(arguments: 0..<200) func atMostOnce(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var machine = machine()
        var log: [JSON] = []
        var permissions: [String: String] = [:]
        var allowed: Set<String> = []
        var denied: Set<String> = []
        var ran: Set<String> = []
        var running: String?
        var sending: [String] = []
        func check(_ actions: [SessionToolMachine.Action]) {
            for action in actions {
                guard case .run(let call) = action else { continue }
                #expect(ran.insert(call.id).inserted, "\(call.id) ran twice")
                #expect(running == nil, "two at a time")
                #expect(call.name != "deploy" && permissions[call.id] != "deny" && !denied.contains(call.id))
                #expect(permissions[call.id] != "ask" || allowed.contains(call.id), "ran without leave")
                running = call.id
            }
        }
        check(machine.handle(.history([]), now: .zero))
        for step in 0..<150 {
            switch Int.random(in: 0..<9, using: &generator) {
            case 0, 1, 2:
                let id = "c\(step)"
                let permission = ["allow", "ask", "deny"].randomElement(using: &generator) ?? "allow"
                permissions[id] = permission
                let event = use(id, name: ["bash", "read", "deploy"].randomElement(using: &generator) ?? "bash", permission: permission)
                log.append(event)
                // Not every event comes live: the stream may be down.
                if Bool.random(using: &generator) { check(machine.handle(live(event), now: .seconds(step))) }
            case 3:
                guard let id = permissions.keys.sorted().randomElement(using: &generator), !allowed.contains(id), !denied.contains(id) else {
                    continue
                }
                let isAllowed = Bool.random(using: &generator)
                if ran.contains(id), !isAllowed { continue }
                if isAllowed { allowed.insert(id) } else { denied.insert(id) }
                let event = verdict(id, isAllowed ? "allow" : "deny")
                log.append(event)
                check(machine.handle(live(event), now: .seconds(step)))
            case 4: check(machine.handle(.history(log), now: .seconds(step)))
            case 5: check(machine.handle(.historyFailed, now: .seconds(step)))
            default:
                if let id = running {
                    running = nil
                    sending.append(id)
                    check(machine.handle(.executed(id), now: .seconds(step)))
                } else if let id = sending.popLast() {
                    if Bool.random(using: &generator) {
                        log.append(result(id))
                        check(machine.handle(.posted(id), now: .seconds(step)))
                    } else {
                        check(machine.handle(.postFailed(id), now: .seconds(step)))
                    }
                }
            }
        }
    }
}
