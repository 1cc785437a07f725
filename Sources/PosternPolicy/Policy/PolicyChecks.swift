import PosternJSON

/// Holds the parts of a policy against one another, and against what no policy may do.
struct PolicyChecks {
    let policy: Policy
    /// The document that it was made from; lists of the policy may be in another order.
    let document: JSON
    let denials: MandatoryDenials

    /// `reader` with the problems found.
    func run(_ reader: SchemaReader, _ patternProblem: (String) -> String?) -> SchemaReader {
        var reader = reader
        files(&reader)
        profile(&reader)
        rules(&reader)
        secrets(&reader)
        forwards(&reader)
        redaction(&reader, patternProblem)
        return reader
    }

    // MARK: - Files

    private func files(_ reader: inout SchemaReader) {
        for key in ["read", "write"] {
            for (index, path) in paths(key) {
                guard let problem = refusal(of: path, writable: key == "write") else { continue }
                reader.add(problem, at: PolicyPath(keys: "files", key).index(index))
            }
        }
    }

    private func refusal(of path: HostPath, writable: Bool) -> PolicyValueError? {
        func refuse(_ rule: String, _ remedy: String) -> PolicyValueError {
            PolicyValueError(value: path.description, rule: rule, remedy: remedy)
        }
        if path.components.isEmpty { return refuse("is the whole host", "name the folders that are needed") }
        if let refusal = denials.refusal(of: path) { return refuse("is denied: \(refusal)", "leave it out") }
        if let refusal = SandboxRoot.refusal(ofPlace: path) {
            return refuse("cannot be bound: \(refusal)", "name the folders below that are needed, or copy them elsewhere")
        }
        if let glob = policy.files.hidden.first(where: { $0.covers(.host(path)) }) {
            return refuse("is hidden by the pattern \(glob)", "leave it out, or take the pattern out with \"!\(glob)\" under files.hidden")
        }
        if !writable, let outer = policy.files.write.first(where: { path.isInside($0) }) {
            return refuse("stands in \(outer), which is writable", "put it under files.protected to make it read-only")
        }
        return nil
    }

    private func paths(_ key: String) -> [(index: Int, path: HostPath)] {
        (document["files"]?[key]?.array ?? []).enumerated().compactMap { index, json in
            json.string.flatMap { try? HostPath($0) }.map { (index, $0) }
        }
    }

    // MARK: - Network

    private func profile(_ reader: inout SchemaReader) {
        let network = PolicyPath(keys: "network")
        let hasRegistries = document["network"]?["registries"] != nil
        if hasRegistries, policy.profile == .strict {
            reader.add(
                PolicyValueError(value: "", rule: "is for policies that extend build", remedy: "write extends: build, or name the hosts in a rule"),
                at: network.key("registries"))
        }
        guard policy.profile == .offline else { return }
        let opened = [
            ("rules", !policy.network.rules.isEmpty), ("registries", hasRegistries), ("addresses", !policy.network.addresses.allowed.isEmpty),
        ]
        for (key, isOpen) in opened where isOpen {
            reader.add(
                PolicyValueError(value: "", rule: "opens the network of an offline policy", remedy: "leave it out, or extend strict"),
                at: network.key(key))
        }
        if !policy.forwards.isEmpty {
            reader.add(
                PolicyValueError(value: "", rule: "opens the network of an offline policy", remedy: "leave it out, or extend strict"),
                at: PolicyPath(keys: "forwards"))
        }
    }

    private func rules(_ reader: inout SchemaReader) {
        let path = PolicyPath(keys: "network", "rules")
        for (index, rule) in policy.network.rules.enumerated() {
            if policy.network.rules[..<index].contains(where: { $0.id == rule.id }) {
                let place = rule.id == "registries" ? PolicyPath(keys: "network", "registries") : path.index(index).key("id")
                reader.add(PolicyValueError(value: rule.id, rule: "is the id of two rules", remedy: "give one of them another id"), at: place)
            }
            if let name = rule.credential, policy.secret(name)?.binding == nil {
                reader.add(
                    unknownSecret(name, policy.secret(name) == nil ? "is no secret of this policy" : "is a secret without hosts"),
                    at: path.index(index).key("credential"))
            }
            if rule.verdict == .allow {
                literals(path.index(index).key("hosts"), document["network"]?["rules"]?.array?.dropFirst(index).first, &reader)
            }
            guard rule.opaque else { continue }
            for secret in policy.secrets {
                guard let binding = secret.binding, !intersection(rule.hosts, binding.hosts).isEmpty else { continue }
                reader.add(
                    PolicyValueError(
                        value: "true", rule: "passes unread what the secret \(secret.name) is bound to, so it could not be put in",
                        remedy: "take the host out of this rule or out of the secret"), at: path.index(index).key("opaque"))
            }
        }
        if let name = policy.upstream.proxySecret, policy.secret(name) == nil {
            reader.add(unknownSecret(name, "is no secret of this policy"), at: PolicyPath(keys: "network", "upstream", "proxy_secret"))
        }
    }

    /// Addresses that a rule lets out and that are not dialled all the same.
    private func literals(_ path: PolicyPath, _ rule: JSON?, _ reader: inout SchemaReader) {
        for (index, host) in (rule?["hosts"]?.array ?? []).enumerated() {
            guard let text = host.string, case .exactly(let literal)? = (try? HostPattern(text))?.hosts, let address = literal.address,
                let refusal = policy.network.addresses.refusal(of: address)
            else { continue }
            let problem =
                AddressPolicy.canBeNamed(address)
                ? PolicyValueError(
                    value: text, rule: "is \(refusal.kind), which no rule alone opens",
                    remedy: "name \(refusal.address) or its block under network.addresses too, or take it out")
                : PolicyValueError(value: text, rule: "is \(refusal.kind), and no policy can open it", remedy: "take it out")
            reader.add(problem, at: path.index(index))
        }
    }

    private func unknownSecret(_ name: String, _ rule: String) -> PolicyValueError {
        let near = EditDistance.suggestion(for: name, among: policy.secrets.map(\.name))
        return PolicyValueError(value: name, rule: rule, remedy: near.isEmpty ? "define it under secrets" : near)
    }

    // MARK: - Secrets

    private func secrets(_ reader: inout SchemaReader) {
        var holders: [String: String] = [:]
        for secret in policy.secrets {
            let path = PolicyPath(keys: "secrets", secret.name)
            if let variable = secret.binding?.variable {
                let other = policy.variables[variable] != nil ? "variables" : holders[variable].map { "the secret \($0)" }
                if let other {
                    reader.add(
                        PolicyValueError(value: variable, rule: "is set by \(other) too", remedy: "choose another name"), at: path.key("variable"))
                }
                holders[variable] = secret.name
            }
            if case .vault(let source) = secret.source, let problem = Self.problem(ofVaultAddress: source.address) {
                reader.add(problem, at: path.key("from").key("vault").key("address"))
            }
            if case .variable(let name) = secret.source, let prefix = VariableName.reservedPrefixes.first(where: { name.uppercased().hasPrefix($0) })
            {
                reader.add(
                    PolicyValueError(
                        value: name, rule: "begins with \(prefix): it is for the worker itself", remedy: "give the secret a variable of its own"),
                    at: path.key("from").key("variable"))
            }
            for file in secret.source.files.compactMap({ try? HostPath($0) }) {
                if denials.isOwn(file) {
                    reader.add(
                        PolicyValueError(
                            value: file.description, rule: "belongs to the worker itself",
                            remedy: "keep it outside of the folders of state, configuration and policies"),
                        at: path.key("from"))
                }
                guard policy.files.shows(file, denials) else { continue }
                reader.add(
                    PolicyValueError(
                        value: file.description, rule: "is a file that the sandbox can read", remedy: "keep it outside of files.read and files.write"),
                    at: path.key("from"))
            }
        }
    }

    private static func problem(ofVaultAddress text: String) -> PolicyValueError? {
        let scheme = ["https://", "http://"].first { text.hasPrefix($0) }
        guard let scheme,
            let authority = try? Authority(text.dropFirst(scheme.count).split(separator: "/").first.map(String.init) ?? "", defaultPort: 8200)
        else {
            return PolicyValueError(value: text, rule: "must be the URL of a Vault server", remedy: "write https://host:8200")
        }
        if scheme == "http://", !authority.host.isLoopback {
            return PolicyValueError(value: text, rule: "would send the token unencrypted", remedy: "write https://")
        }
        return nil
    }

    // MARK: - Forwards

    /// Ports of the sandbox's loopback that Postern itself listens on.
    static let reservedPorts: Set<UInt16> = [53, 80, 443, 3128]

    private func forwards(_ reader: inout SchemaReader) {
        for (index, forward) in policy.forwards.enumerated() {
            let path = PolicyPath(keys: "forwards").index(index)
            let before = policy.forwards[..<index]
            if before.contains(where: { $0.name == forward.name }) {
                reader.add(PolicyValueError(value: forward.name, rule: "is the name of two forwards", remedy: "rename one"), at: path.key("name"))
            }
            if Self.reservedPorts.contains(forward.listenPort) || before.contains(where: { $0.listenPort == forward.listenPort }) {
                reader.add(
                    PolicyValueError(value: "\(forward.listenPort)", rule: "is a port that something else listens on", remedy: "choose another port"),
                    at: path.key("listen"))
            }
            switch forward.kind {
            case .tcp(nil):
                reader.add(
                    PolicyValueError(value: "", rule: "must be given: bytes of this forward are passed unread", remedy: "add max_sent: 10MiB"),
                    at: path.key("max_sent"))
            case .tcp: break
            case .postgres(let postgres):
                let database = path.key("postgres")
                if let name = postgres.secret, policy.secret(name) == nil {
                    reader.add(unknownSecret(name, "is no secret of this policy"), at: database.key("secret"))
                }
                if postgres.tls == .disable, !forward.target.host.isLoopback {
                    reader.add(
                        PolicyValueError(value: "disable", rule: "is for servers on loopback only", remedy: "write verify-full"),
                        at: database.key("tls"))
                }
            }
        }
    }

    // MARK: - Redaction

    private func redaction(_ reader: inout SchemaReader, _ patternProblem: (String) -> String?) {
        let path = PolicyPath(keys: "redaction")
        var names: Set<String> = []
        for (index, pattern) in policy.redaction.patterns.enumerated() {
            let place = path.key("patterns").index(index)
            if !names.insert(pattern.name).inserted { reader.add(Self.twice(pattern.name), at: place.key("name")) }
            if let problem = patternProblem(pattern.pattern) {
                reader.add(PolicyValueError(value: pattern.pattern, rule: problem), at: place.key("pattern"))
            }
        }
        for (index, dictionary) in policy.redaction.dictionaries.enumerated() where !names.insert(dictionary.name).inserted {
            reader.add(Self.twice(dictionary.name), at: path.key("dictionaries").index(index).key("name"))
        }
    }

    private static func twice(_ name: String) -> PolicyValueError {
        PolicyValueError(value: name, rule: "is the name of two patterns or dictionaries", remedy: "rename one")
    }
}

extension CanonicalHost {
    /// `localhost` or an address of the host itself.
    fileprivate var isLoopback: Bool {
        switch self {
        case .name(let name): name == "localhost" || name.hasSuffix(".localhost")
        case .address(let address): Self.loopback.contains { $0.contains(address) }
        }
    }

    private static let loopback = ["127.0.0.0/8", "::1"].compactMap { try? AddressRange($0) }
}
