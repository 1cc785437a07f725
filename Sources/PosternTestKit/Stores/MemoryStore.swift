import ManagedAgentsAPI
import PosternCore
import Synchronization

/// The store's twin: everything in memory, the same answers, nothing durable. For tests of what uses a store.
package final class MemoryStore: Sendable {
    struct Session {
        var record: SessionRecord
        var rows: [EventRow] = []

        mutating func apply(_ settlement: Settlement) {
            rows += settlement.rows
            record.lastSequence += settlement.rows.count
            record.status = settlement.status
            record.usage = settlement.usage
            record.updatedAt = settlement.updatedAt
            if let title = settlement.title { record.title = title }
            if let metadata = settlement.metadata { record.metadata = metadata }
            if let agent = settlement.agent { record.agent = agent }
            if let time = settlement.archivedAt { record.archivedAt = time }
        }
    }

    struct State {
        var sessions: [String: Session] = [:]
        var work: [String: WorkRecord] = [:]
        /// Every version, from 1.
        var agents: [String: [AgentRecord]] = [:]
        var environments: [String: EnvironmentRecord] = [:]
        var keys: [String: KeyRecord] = [:]
        var workspaces: [String: WorkspaceRecord] = [:]
        var tunnels: [String: TunnelRecord] = [:]
        var tunnelTokens: [String: TunnelTokenRecord] = [:]
        var tunnelCertificates: [String: TunnelCertificateRecord] = [:]
        /// Every enrolment, revoked ones included.
        var connectorKeys: [ConnectorKeyRecord] = []
        var runtimeAuthorities: [String: RuntimeAuthorityRecord] = [:]
        var tunnelRevision = 0
        /// Logs by tunnel.
        var registrations: [String: [[UInt8]]] = [:]
        var failure: StoreError?
        var refusal: (@Sendable (Settlement) -> StoreError?)?
    }

    private let state = Mutex(State())

    package init() {}

    /// Makes every call fail with `error` until it is called with nil: a full disk, for tests of who uses the store.
    package func fail(with error: StoreError?) { state.withLock { $0.failure = error } }

    /// Asks `refusal` before each settlement: what it returns is thrown, and nothing is changed. Nil takes all again.
    package func refuseSettlements(_ refusal: (@Sendable (Settlement) -> StoreError?)?) { state.withLock { $0.refusal = refusal } }

    /// Runs `body` on the state. A body checks everything before it changes anything, so that what throws has changed nothing.
    func with<Value: Sendable>(_ body: (inout State) throws(StoreError) -> Value) throws(StoreError) -> Value {
        let answer: Result<Value, StoreError> = state.withLock { state in
            if let failure = state.failure { return .failure(failure) }
            do throws(StoreError) {
                return .success(try body(&state))
            } catch {
                return .failure(error)
            }
        }
        return try answer.get()
    }

    /// One page of `elements`, which are sorted in the list's order; `precedes` says whether a position lies before another in it.
    static func page<Element>(
        _ elements: [Element], from: PagePosition?, limit: Int, size: (Element) -> Int = { _ in 0 }, position: (Element) -> PagePosition,
        precedes: (PagePosition, PagePosition) -> Bool
    ) -> Page<Element> {
        /// How many of the elements, from the first, are a page.
        func length(_ elements: some Sequence<Element>) -> Int {
            var (count, bytes) = (0, 0)
            for element in elements where count < max(1, limit) && bytes < ReadLimit.pageBytes {
                count += 1
                bytes += size(element)
            }
            return count
        }
        func backward(_ element: Element?) -> PagePosition? {
            element.map { PagePosition(major: position($0).major, minor: position($0).minor, isBackward: true) }
        }
        guard let from else {
            let page = Array(elements.prefix(length(elements)))
            return Page(elements: page, next: elements.count > page.count ? page.last.map(position) : nil)
        }
        if from.isBackward {
            let before = elements.filter { precedes(position($0), from) }
            let page = Array(before.suffix(length(before.reversed())))
            return Page(elements: page, next: page.last.map(position), previous: before.count > page.count ? backward(page.first) : nil)
        }
        let after = elements.filter { precedes(from, position($0)) }
        let page = Array(after.prefix(length(after)))
        return Page(elements: page, next: after.count > page.count ? page.last.map(position) : nil, previous: backward(page.first))
    }

    /// A page of a list by time, then id.
    static func pageByTime<Element>(
        _ elements: some Sequence<Element>, order: SortOrder = .descending, from: PagePosition?, limit: Int,
        key: (Element) -> (time: Timestamp, id: String)
    ) -> Page<Element> {
        func precedes(_ left: PagePosition, _ right: PagePosition) -> Bool {
            order == .ascending ? (left.major, left.minor) < (right.major, right.minor) : (left.major, left.minor) > (right.major, right.minor)
        }
        func position(_ element: Element) -> PagePosition {
            PagePosition(major: key(element).time.microseconds, minor: key(element).id)
        }
        let sorted = elements.sorted { precedes(position($0), position($1)) }
        return page(sorted, from: from, limit: limit, position: position, precedes: precedes)
    }
}

extension TimeRange {
    func contains(_ time: Timestamp) -> Bool {
        (after.map { time > $0 } ?? true) && (atOrAfter.map { time >= $0 } ?? true) && (before.map { time < $0 } ?? true)
            && (atOrBefore.map { time <= $0 } ?? true)
    }
}
