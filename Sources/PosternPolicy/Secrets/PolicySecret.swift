import PosternJSON

/// A secret that a session may use without seeing it: where its value comes from, and where it may go.
package struct PolicySecret: Sendable, Hashable {
    package var name: String
    package var source: SecretSource
    /// Hosts and places of requests; `nil` for a secret that only a forward uses.
    package var binding: SecretBinding?

    package init(name: String, source: SecretSource, binding: SecretBinding? = nil) {
        self.name = name
        self.source = source
        self.binding = binding
    }

    /// The same secret with what both allow; `nil` where they differ in its source, or where no place is left.
    package func narrowed(by other: PolicySecret) -> PolicySecret? {
        guard name == other.name, source == other.source else { return nil }
        guard let binding, let theirs = other.binding else {
            // Without a binding no request carries it; a forward may still use it.
            return PolicySecret(name: name, source: source)
        }
        if binding == theirs { return self }
        // A pattern without a port means 443 here; in an intersection of patterns it would mean every port.
        var both = binding.withPorts.narrowed(by: theirs.withPorts)
        if binding.variable != theirs.variable { both?.variable = nil }
        return PolicySecret(name: name, source: source, binding: both)
    }

    /// `{"from": …, "hosts": …, …}`: the binding's members beside `from`.
    package init(name: String, json: JSON) throws(PolicyValueError) {
        guard var object = json.object, let from = object["from"] else {
            throw PolicyValueError(path: ["from"], value: "", rule: "must be given", remedy: "say where the secret comes from")
        }
        self.name = name
        do throws(PolicyValueError) {
            source = try SecretSource(json: from)
        } catch {
            throw error.below("from")
        }
        object["from"] = nil
        if object["hosts"] == nil {
            guard let key = object.keys.first else { return }
            throw PolicyValueError(
                path: [key], value: object[key]?.text ?? "", rule: "says where in a request a secret goes, and no host is named",
                remedy: "add hosts")
        }
        object["name"] = .string(name)
        binding = try SecretBinding(json: .object(object))
    }

    package var json: JSON {
        var object: JSONObject = ["from": source.json]
        for (key, value) in binding?.json.object ?? [:] where key != "name" { object[key] = value }
        return .object(object)
    }
}

extension SecretBinding {
    /// The same binding with the port of each pattern said.
    fileprivate var withPorts: SecretBinding {
        var binding = self
        binding.hosts = hosts.map { HostPattern($0.hosts, port: $0.port ?? 443) }
        return binding
    }
}
