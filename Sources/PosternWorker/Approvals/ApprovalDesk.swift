import PosternJSON

/// Something that a policy wants approved inside the perimeter before it happens.
package struct ApprovalQuestion: Sendable, Hashable {
    package enum Subject: String, Sendable, Hashable {
        case tool
        case budget
    }

    /// Names the question for whoever answers. The desk draws it, so that nobody outside the perimeter can choose what an answer hits;
    /// empty before it is put.
    package internal(set) var id = ""
    /// The call that it is about, by the id that the control plane gives it: for the eye, and never a key.
    package var callID: String?
    package var sessionID: String
    package var agentID: String?
    package var subject: Subject
    /// One line: the tool and its arguments, or the budget and what would exceed it. For people inside the perimeter.
    package var summary: String
    /// The deciding entry of the policy.
    package var rule: String?
    package var reason: String

    package init(callID: String? = nil, sessionID: String, agentID: String?, subject: Subject, summary: String, rule: String?, reason: String) {
        self.callID = callID
        self.sessionID = sessionID
        self.agentID = agentID
        self.subject = subject
        self.summary = summary
        self.rule = rule
        self.reason = reason
    }
}

extension ApprovalQuestion {
    package var json: JSON {
        [
            "id": .string(id), "call": JSON(callID), "session": .string(sessionID), "agent": JSON(agentID), "subject": .string(subject.rawValue),
            "summary": .string(summary),
            "rule": JSON(rule), "reason": .string(reason),
        ]
    }

    /// `nil` for what is no question.
    package init?(json: JSON) {
        guard let id = json["id"]?.string, let session = json["session"]?.string,
            let subject = json["subject"]?.string.flatMap(Subject.init(rawValue:))
        else { return nil }
        self.init(
            callID: json["call"]?.string, sessionID: session, agentID: json["agent"]?.string, subject: subject,
            summary: json["summary"]?.string ?? "", rule: json["rule"]?.string, reason: json["reason"]?.string ?? "")
        self.id = id
    }
}

package struct ApprovalAnswer: Sendable, Hashable {
    package var isAllowed: Bool
    /// Who answered: a user of this machine, or `time-out`.
    package var by: String

    package init(isAllowed: Bool, by: String) {
        self.isAllowed = isAllowed
        self.by = by
    }
}

/// Where questions wait for somebody inside the perimeter. The control plane cannot answer them. What nobody answers in time is refused.
package actor ApprovalDesk {
    private var open: [String: (question: ApprovalQuestion, waiter: CheckedContinuation<ApprovalAnswer?, Never>)] = [:]
    private var order: [String] = []
    /// Questions that may wait at once; one more is refused.
    private static let capacity = 1000

    package init() {}

    /// Waits for an answer. `sleep` ends when nobody has answered in time.
    /// - Throws: `CancellationError` when the call is over before anybody answered.
    package func ask(_ question: ApprovalQuestion, sleep: @escaping @Sendable () async throws -> Void) async throws -> ApprovalAnswer {
        guard open.count < Self.capacity else { return ApprovalAnswer(isAllowed: false, by: "too many questions") }
        let question = numbered(question)
        let timer = Task {
            do { try await sleep() } catch { return }
            self.settle(question.id, ApprovalAnswer(isAllowed: false, by: "time-out"))
        }
        defer { timer.cancel() }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: CheckedContinuation<ApprovalAnswer?, Never>) in
                if Task.isCancelled { return waiter.resume(returning: nil) }
                open[question.id] = (question, waiter)
                order.append(question.id)
            }
        } onCancel: {
            Task { await self.settle(question.id, nil) }
        }
        guard let answer else { throw CancellationError() }
        return answer
    }

    private func numbered(_ question: ApprovalQuestion) -> ApprovalQuestion {
        var question = question
        repeat {
            question.id = "ask_" + String(UInt64.random(in: .min ... .max), radix: 36)
        } while open[question.id] != nil
        return question
    }

    /// The questions that wait, oldest first.
    package var waiting: [ApprovalQuestion] { order.compactMap { open[$0]?.question } }

    /// Answers a question; false when none of that id waits.
    package func answer(_ id: String, _ answer: ApprovalAnswer) -> Bool {
        guard open[id] != nil else { return false }
        settle(id, answer)
        return true
    }

    private func settle(_ id: String, _ answer: ApprovalAnswer?) {
        guard let entry = open.removeValue(forKey: id) else { return }
        order.removeAll { $0 == id }
        entry.waiter.resume(returning: answer)
    }
}
