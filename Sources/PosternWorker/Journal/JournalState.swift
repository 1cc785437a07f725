import PosternJSON

/// What a journal's records say, folded. A value without I/O.
package struct JournalState: Sendable, Equatable {
    package struct Item: Sendable, Equatable {
        package var workID: String
        package var environmentID: String
        package var secret: String?
        package var repeatsCalls = false
        package var policyFragment: String?
        /// The last heartbeat's value; `nil`: none was answered.
        package var heartbeat: String?
    }

    private enum Progress: Sendable, Equatable {
        case intended(tool: String)
        case finished(tool: String, event: [UInt8])
    }

    /// The item that was held when the journal ends; `nil` if it was released.
    package private(set) var item: Item?
    private var calls: [String: Progress] = [:]

    package init() {}

    package init(_ records: some Sequence<JournalRecord>) {
        for record in records { apply(record) }
    }

    package mutating func apply(_ record: JournalRecord) {
        switch record {
        case .item(let work, let environment, let secret, let repeatsCalls, let fragment):
            item = Item(workID: work, environmentID: environment, secret: secret, repeatsCalls: repeatsCalls, policyFragment: fragment)
        case .beat(let value): item?.heartbeat = value
        case .intent(let call, let tool): calls[call] = .intended(tool: tool)
        case .outcome(let call, let event):
            if case .intended(let tool) = calls[call] { calls[call] = .finished(tool: tool, event: event) }
        case .settled(let call): calls[call] = nil
        case .released: item = nil
        }
    }

    /// Nothing in it is needed any more.
    package var isSpent: Bool { item == nil && calls.isEmpty }

    /// Tools that change nothing and may run twice.
    package static let idempotentTools: Set<String> = ["read", "glob", "grep"]

    package enum Disposition: Sendable, Equatable {
        case run
        /// It was begun and nobody knows how it ended: answered so, not repeated.
        case unknown
        /// It has a result, which is sent.
        case send([UInt8])
    }

    /// What to do with a call that the session's log shows unanswered.
    package func disposition(of callID: String) -> Disposition {
        switch calls[callID] {
        case nil: .run
        case .intended(let tool): item?.repeatsCalls == true || Self.idempotentTools.contains(tool) ? .run : .unknown
        case .finished(_, let event): .send(event)
        }
    }

    /// The fewest records that give this state again.
    package var records: [JournalRecord] {
        var records: [JournalRecord] = []
        if let item {
            records.append(
                .item(
                    workID: item.workID, environmentID: item.environmentID, secret: item.secret, repeatsCalls: item.repeatsCalls,
                    policyFragment: item.policyFragment))
            if let beat = item.heartbeat { records.append(.beat(beat)) }
        }
        for (id, progress) in calls.sorted(by: { $0.key < $1.key }) {
            switch progress {
            case .intended(let tool): records.append(.intent(callID: id, tool: tool))
            case .finished(let tool, let event): records += [.intent(callID: id, tool: tool), .outcome(callID: id, event: event)]
            }
        }
        return records
    }
}
