import PosternJSON

/// What has been frozen and not thawed since. It outlives sessions and the worker: whatever is taken up later and is covered starts frozen. A
/// value without I/O.
package struct FreezeOrders: Sendable, Hashable {
    package private(set) var targets: Set<FreezeTarget> = []

    /// More are refused: an order for all does the same.
    package static let most = 1000

    package init() {}

    /// `false` when there are too many already.
    package mutating func freeze(_ target: FreezeTarget) -> Bool {
        guard targets.contains(target) || targets.count < Self.most else { return false }
        targets.insert(target)
        return true
    }

    /// Takes back the order for `target`. `all` takes back every order.
    package mutating func thaw(_ target: FreezeTarget) {
        if target == .all { targets = [] } else { targets.remove(target) }
    }

    /// The widest order that covers a session, `nil` when none does.
    package func order(session: String, agent: String?) -> FreezeTarget? {
        let found = targets.filter { $0.covers(session: session, agent: agent) }
        return found.contains(.all) ? .all : found.first { if case .agent = $0 { true } else { false } } ?? found.first
    }

    package var json: JSON { .array(targets.map(\.json).sorted { $0.text < $1.text }) }

    /// - Returns: `nil` for what is no list of targets: who cannot read what is frozen must not go on as if nothing were.
    package init?(json: JSON) {
        guard let list = json.array, list.count <= Self.most else { return nil }
        for item in list {
            guard let target = FreezeTarget(json: item) else { return nil }
            targets.insert(target)
        }
    }
}
