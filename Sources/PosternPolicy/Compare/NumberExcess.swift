extension Policy {
    /// Amounts that this policy grants and the other does not.
    func numberExcess(over other: Policy) -> [PolicyExcess] {
        var excesses: [PolicyExcess] = []
        func compare(_ area: String, _ name: String, _ mine: Int?, _ theirs: Int?, _ write: (Int) -> String) {
            // The smallest amount over the other's bound: is it granted?
            guard let theirs, theirs < .max, mine.map({ $0 >= theirs + 1 }) ?? true else { return }
            excesses.append(PolicyExcess(area: area, text: "\(name): \(mine.map(write) ?? "no bound") in place of \(write(theirs))"))
        }
        for field in ResourceLimits.fields {
            compare("limits", field.name, limits[keyPath: field.path], other.limits[keyPath: field.path], field.text)
        }
        let results: [(String, Int?, Int?)] = [
            ("results.result", resultBudgets.result, other.resultBudgets.result),
            ("results.session", resultBudgets.session, other.resultBudgets.session),
            ("results.day", resultBudgets.day, other.resultBudgets.day),
        ]
        let mine = network.budgets
        let theirs = other.network.budgets
        let egress: [(String, Int?, Int?)] = [
            ("egress.call", mine.call, theirs.call), ("egress.host", mine.host, theirs.host), ("egress.session", mine.session, theirs.session),
            ("egress.day", mine.day, theirs.day),
        ]
        for (name, own, bound) in results + egress { compare("budgets", name, own, bound, Quantity.text(bytes:)) }
        let areBounded = [mine, theirs].allSatisfy { budgets in [budgets.call, budgets.host, budgets.session, budgets.day].contains { $0 != nil } }
        if areBounded, mine.overrun == .ask, theirs.overrun == .fail {
            excesses.append(PolicyExcess(area: "budgets", text: "egress: a request over budget may be approved"))
        }
        return excesses
    }
}

extension ResourceLimits.Field {
    /// A number of this field as people write it.
    package func text(_ number: Int) -> String {
        switch unit {
        case .bytes: Quantity.text(bytes: number)
        case .rate: Quantity.text(bytes: number) + "/s"
        case .percent: "\(number)%"
        case .duration: Quantity.text(milliseconds: number)
        case .count: "\(number)"
        }
    }
}
