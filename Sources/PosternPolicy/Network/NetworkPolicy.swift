import PosternJSON

/// What may leave a sandbox: rules, the addresses that are dialled, and byte budgets. The empty policy lets nothing out.
package struct NetworkPolicy: Sendable, Hashable {
    package var rules: [NetworkRule]
    /// Rule lists of the policies around this one: each of them has to allow a request as well.
    package private(set) var ceilings: [[NetworkRule]] = []
    package var addresses: AddressPolicy
    package var budgets: ByteBudgets

    package init(rules: [NetworkRule] = [], addresses: AddressPolicy = .init(), budgets: ByteBudgets = .init()) {
        self.rules = rules
        self.addresses = addresses
        self.budgets = budgets
    }

    /// Whether `request` may leave. Deny wins; what no rule allows is denied.
    package func decide(_ request: NetworkRequest) -> NetworkDecision {
        var merged = NetworkDecider(rules: rules, addresses: addresses).decide(request)
        for list in ceilings where merged.verdict == .allow {
            let outer = NetworkDecider(rules: list, addresses: addresses).decide(request)
            guard outer.verdict == .allow else { return outer }
            merged.opaque = merged.opaque && outer.opaque
            merged.credentials.formUnion(outer.credentials)
            merged.upgrades.formIntersection(outer.upgrades)
            merged.maximumSent = smaller(merged.maximumSent, outer.maximumSent)
            merged.maximumReceived = smaller(merged.maximumReceived, outer.maximumReceived)
        }
        return merged
    }

    /// Whether the verdict on requests to `host` and `port` may depend on their method.
    package func looksAtMethods(_ host: CanonicalHost, port: UInt16) -> Bool {
        ([rules] + ceilings).contains { list in list.contains { !$0.methods.isEmpty && $0.covers(host, port: port) } }
    }

    /// What both policies let out. Both rule lists go on holding side by side, so no combination of rules can widen either.
    package func narrowed(by other: NetworkPolicy) -> NetworkPolicy {
        var both = self
        for list in [other.rules] + other.ceilings where list != both.rules && !both.ceilings.contains(list) { both.ceilings.append(list) }
        both.addresses = addresses.narrowed(by: other.addresses)
        both.budgets = budgets.narrowed(by: other.budgets)
        return both
    }
}

extension NetworkPolicy {
    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        rules = try Self.rules(fields.member("rules") ?? [], key: "rules")
        let lists = try fields.list("ceilings") { (json: JSON) throws(PolicyValueError) in json }
        for (index, list) in lists.enumerated() {
            do throws(PolicyValueError) {
                ceilings.append(try Self.rules(list, key: String(index)))
            } catch {
                throw error.below("ceilings")
            }
        }
        addresses = AddressPolicy()
        budgets = ByteBudgets()
        if let json = fields.member("addresses") {
            do throws(PolicyValueError) { addresses = try AddressPolicy(json: json) } catch { throw error.below("addresses") }
        }
        if let json = fields.member("budgets") {
            do throws(PolicyValueError) { budgets = try ByteBudgets(json: json) } catch { throw error.below("budgets") }
        }
        try fields.finish()
    }

    /// A list of rules with ids that do not repeat; a rule without one is called after its place.
    private static func rules(_ json: JSON, key: String) throws(PolicyValueError) -> [NetworkRule] {
        guard let elements = json.array else { throw PolicyValueError(path: [key], value: json.text, rule: "must be a list, not \(json.kind)") }
        var rules: [NetworkRule] = []
        for (index, element) in elements.enumerated() {
            do throws(PolicyValueError) {
                let rule = try NetworkRule(json: element, defaultID: "rule-\(index + 1)")
                guard !rules.contains(where: { $0.id == rule.id }) else {
                    throw PolicyValueError(path: ["id"], value: rule.id, rule: "must be unique", remedy: "give this rule another id")
                }
                rules.append(rule)
            } catch {
                throw error.below(key, String(index))
            }
        }
        return rules
    }

    package var json: JSON {
        var object: JSONObject = ["rules": .array(rules.map(\.json))]
        if !ceilings.isEmpty { object["ceilings"] = .array(ceilings.map { .array($0.map(\.json)) }) }
        object["addresses"] = addresses.json
        object["budgets"] = budgets.json
        return .object(object)
    }
}
