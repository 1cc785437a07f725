extension Policy {
    /// Secrets that this policy hands out and the other does not, or to more places.
    func secretExcess(over other: Policy) -> [PolicyExcess] {
        var excesses: [PolicyExcess] = []
        func add(_ text: String) { excesses.append(PolicyExcess(area: "secrets", text: text)) }
        for secret in secrets {
            guard let theirs = other.secret(secret.name), theirs.source == secret.source else {
                // One without a binding is in nobody's reach but a forward's, and forwards are compared by themselves.
                if secret.binding != nil { add("\(secret.name) can be used") }
                continue
            }
            guard let binding = secret.binding else { continue }
            for host in (binding.hosts + (theirs.binding?.hosts ?? [])).flatMap(PatternSamples.hosts(of:)) {
                for port in Set([80, 443, 9] + binding.hosts.compactMap(\.port)).sorted() where binding.covers(host, port: port) {
                    let place = host.authority(port: port)
                    guard let bound = theirs.binding, bound.covers(host, port: port), bound.header == binding.header else {
                        add("\(secret.name) goes to \(place) in \(binding.header)")
                        continue
                    }
                    for scheme in binding.schemes where !bound.schemes.contains(scheme) {
                        add("\(secret.name) goes to \(place) by the scheme \(scheme.rawValue)")
                    }
                    if let body = binding.body, bound.body != body { add("\(secret.name) goes to \(place) in the body at \(body.pointer)") }
                }
            }
            if let variable = binding.variable, theirs.binding?.variable != variable { add("the placeholder of \(secret.name) is in \(variable)") }
        }
        return excesses
    }

    /// Ports that lead further in this policy than in the other.
    func forwardExcess(over other: Policy) -> [PolicyExcess] {
        forwards.compactMap { forward in
            let place = "127.0.0.1:\(forward.listenPort) leads to \(forward.target)"
            guard let theirs = other.forwards.first(where: { $0.listenPort == forward.listenPort && $0.target == forward.target }) else {
                return PolicyExcess(area: "forwards", text: place)
            }
            switch (forward.kind, theirs.kind) {
            case (.postgres(let mine), .postgres(let bound)):
                return mine == bound ? nil : PolicyExcess(area: "forwards", text: "\(place) as \(mine.role) of \(mine.database)")
            case (.tcp(let mine), .tcp(let bound)):
                guard let bound, mine.map({ $0 > bound }) ?? true else { return nil }
                return PolicyExcess(area: "forwards", text: "\(place) for more than \(Quantity.text(bytes: bound))")
            default: return PolicyExcess(area: "forwards", text: "\(place) in another way")
            }
        }
    }
}
