import PosternJSON

/// What an operator on the worker's own machine asks of it.
package enum LocalControlRequest: Sendable, Hashable {
    case freeze(FreezeTarget)
    case thaw(FreezeTarget)
    case status
    /// The calls that wait for an answer.
    case questions
    /// Answers the question of that id.
    case answer(id: String, isAllowed: Bool)
    /// Follows the decisions of the egress proxies, of one session or of all: after the reply come lines until either side ends. While one
    /// `learns`, what no rule allows is read as far as its request before it is refused.
    case egress(session: String?, learns: Bool)

    package var json: JSON {
        switch self {
        case .freeze(let target): ["verb": "freeze", "target": target.json]
        case .thaw(let target): ["verb": "thaw", "target": target.json]
        case .status: ["verb": "status"]
        case .questions: ["verb": "questions"]
        case .answer(let id, let isAllowed): ["verb": "answer", "id": .string(id), "allowed": .bool(isAllowed)]
        case .egress(let session, let learns): ["verb": "egress", "session": JSON(session), "learns": .bool(learns)]
        }
    }

    /// - Throws: what is wrong with it, for who has asked.
    package init(json: JSON) throws(LocalControlError) {
        let verb = json["verb"]?.string
        if verb == "status" {
            self = .status
            return
        }
        if verb == "questions" {
            self = .questions
            return
        }
        if verb == "answer" {
            guard let id = json["id"]?.string, let isAllowed = json["allowed"]?.bool else {
                throw LocalControlError("an answer needs the question's id and whether the call may run")
            }
            self = .answer(id: id, isAllowed: isAllowed)
            return
        }
        if verb == "egress" {
            self = .egress(session: json["session"]?.string, learns: json["learns"]?.bool ?? false)
            return
        }
        guard verb == "freeze" || verb == "thaw" else {
            throw LocalControlError("'\(verb ?? "")' is no verb; there are freeze, thaw, status, questions, answer and egress")
        }
        guard let target = FreezeTarget(json: json["target"]) else {
            throw LocalControlError("a target is needed: session ID, agent ID or all")
        }
        self = verb == "freeze" ? .freeze(target) : .thaw(target)
    }
}

package struct LocalControlError: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

/// What the worker answers.
package struct LocalControlReply: Sendable, Hashable {
    package struct Session: Sendable, Hashable {
        package var session: String
        package var agent: String?
        package var isFrozen: Bool
        /// Its processes could not be stopped in time, and were killed.
        package var wasKilled = false
        /// Of a freeze: something of it runs, or may, where the worker has no hand.
        package var isElsewhere = false
        /// Of a freeze: what became of its processes.
        package var processes = ProcessTally()
        /// Why what was asked for is not so.
        package var problem: String?

        package init(
            session: String, agent: String?, isFrozen: Bool, wasKilled: Bool = false, isElsewhere: Bool = false,
            processes: ProcessTally = ProcessTally(), problem: String? = nil
        ) {
            self.session = session
            self.agent = agent
            self.isFrozen = isFrozen
            self.wasKilled = wasKilled
            self.isElsewhere = isElsewhere
            self.processes = processes
            self.problem = problem
        }
    }

    /// Those that the request was about; for `status` all.
    package var sessions: [Session] = []
    /// For `questions`, oldest first.
    package var questions: [ApprovalQuestion] = []
    /// Orders that stand.
    package var frozen = FreezeOrders()
    /// From the request to the last process.
    package var milliseconds = 0
    /// The request was not understood or refused.
    package var error: String?

    package init() {}

    /// Of all sessions together.
    package var processes: ProcessTally { sessions.reduce(ProcessTally()) { $0 + $1.processes } }

    /// Everything that was asked for is so.
    package var isDone: Bool { error == nil && sessions.allSatisfy { $0.problem == nil } }

    package var json: JSON {
        [
            "type": "worker_control", "questions": .array(questions.map(\.json)), "frozen": frozen.json, "milliseconds": JSON(milliseconds),
            "error": JSON(error),
            "sessions": .array(
                sessions.map {
                    [
                        "session": .string($0.session), "agent": JSON($0.agent), "frozen": .bool($0.isFrozen), "killed": .bool($0.wasKilled),
                        "elsewhere": .bool($0.isElsewhere), "processes_stopped": JSON($0.processes.stopped),
                        "processes_killed": JSON($0.processes.killed),
                        "survivors": JSON($0.processes.survivors), "problem": JSON($0.problem),
                    ]
                }),
        ]
    }

    package init(json: JSON) throws(LocalControlError) {
        guard json["type"] == "worker_control", let orders = json["frozen"].flatMap(FreezeOrders.init(json:)) else {
            throw LocalControlError("the worker's answer is not understood; is it of another version?")
        }
        frozen = orders
        milliseconds = json["milliseconds"]?.int ?? 0
        questions = (json["questions"]?.array ?? []).compactMap(ApprovalQuestion.init(json:))
        error = json["error"]?.string
        for session in json["sessions"]?.array ?? [] {
            guard let id = session["session"]?.string, let isFrozen = session["frozen"]?.bool else {
                throw LocalControlError("the worker's answer has a session without its id or state")
            }
            let processes = ProcessTally(
                stopped: session["processes_stopped"]?.int ?? 0, killed: session["processes_killed"]?.int ?? 0,
                survivors: session["survivors"]?.int ?? 0)
            sessions.append(
                Session(
                    session: id, agent: session["agent"]?.string, isFrozen: isFrozen, wasKilled: session["killed"]?.bool ?? false,
                    isElsewhere: session["elsewhere"]?.bool ?? false, processes: processes, problem: session["problem"]?.string))
        }
    }
}
