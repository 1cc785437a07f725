import PosternPolicy

/// Which names pass: those that a pattern allows and none denies.
package struct NameRules: Hashable, Sendable {
    /// `nil`: every name, except the denied.
    package var allow: [TextGlob]?
    /// Against folded names: what is denied in one case is denied in each, since a server may not tell them apart.
    package private(set) var deny: [TextGlob]

    package init(allow: [TextGlob]? = nil, deny: [TextGlob] = []) throws(PolicyValueError) {
        self.allow = allow
        self.deny = []
        for glob in deny { self.deny.append(try TextGlob(FoldedName.of(glob.description))) }
    }

    private init() { (allow, deny) = (nil, []) }

    /// Every name.
    package static let all = NameRules()

    enum Verdict { case allowed, denied, unknown }

    func verdict(_ name: String) -> Verdict {
        let folded = FoldedName.of(name)
        if deny.contains(where: { $0.matches(folded) }) { return .denied }
        guard let allow else { return .allowed }
        return allow.contains { $0.matches(name) } ? .allowed : .unknown
    }
}
