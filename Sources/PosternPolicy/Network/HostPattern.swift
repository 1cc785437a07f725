import PosternJSON

/// Which hosts a rule means: one host, or all subdomains of a name, on one port or on those of the rule.
package struct HostPattern: Sendable, Hashable, CustomStringConvertible {
    package enum Hosts: Sendable, Hashable {
        case exactly(CanonicalHost)
        /// Every name that ends in `.` and this name; not the name itself.
        case subdomains(String)
    }

    package let hosts: Hosts
    /// The one port that is meant; `nil` leaves it to the rule.
    package let port: UInt16?

    package init(_ hosts: Hosts, port: UInt16? = nil) {
        self.hosts = hosts
        self.port = port
    }

    /// `api.example.com`, `*.example.com`, `10.1.2.3`, `[::1]`, each also with `:port`. A bare `*`, a star elsewhere, and a star before
    /// a public suffix (`*.com`, `*.co.uk`, `*.github.io`) are refused.
    package init(_ text: String) throws(PolicyValueError) {
        guard text != "*", !text.hasPrefix("*:") else {
            throw PolicyValueError(value: text, rule: "a pattern must name a host", remedy: "name each host, or *.example.com for its subdomains")
        }
        let wild = text.hasPrefix("*.")
        let rest = wild ? String(text.dropFirst(2)) : text
        guard !rest.contains("*") else {
            throw PolicyValueError(value: text, rule: "a star stands only at the front, as a whole label", remedy: "write *.example.com")
        }
        let host: CanonicalHost
        do throws(PolicyValueError) {
            if rest.hasPrefix("["), rest.hasSuffix("]") || !rest.contains("]:") {
                host = try CanonicalHost(rest)
                port = nil
            } else if rest.filter({ $0 == ":" }).count > 1, !rest.hasPrefix("[") {
                host = try CanonicalHost(rest)  // IPv6 without brackets
                port = nil
            } else if rest.contains(":") {
                let authority = try Authority(rest)
                host = authority.host
                port = authority.port
            } else {
                host = try CanonicalHost(rest)
                port = nil
            }
        } catch {
            throw PolicyValueError(value: text, rule: error.rule, remedy: error.remedy)
        }
        guard wild else {
            hosts = .exactly(host)
            return
        }
        guard case .name(let name) = host else {
            throw PolicyValueError(value: text, rule: "an address has no subdomains", remedy: "name the address itself")
        }
        guard !PublicSuffix.contains(name) else {
            throw PolicyValueError(
                value: text, rule: "anybody can have a name below \"\(name)\"", remedy: "name the host, or the subdomains of a registered name")
        }
        hosts = .subdomains(name)
    }

    /// Whether `host` is meant, whatever the port.
    package func covers(_ host: CanonicalHost) -> Bool {
        switch hosts {
        case .exactly(let own): own == host
        case .subdomains(let suffix):
            if case .name(let name) = host { name.hasSuffix(".\(suffix)") } else { false }
        }
    }

    /// Whether `host` on `port` is meant; `ports` are those of the rule around this pattern, empty for all.
    package func covers(_ host: CanonicalHost, port number: UInt16, ports: [UInt16]) -> Bool {
        guard covers(host) else { return false }
        if let port { return port == number }
        return ports.isEmpty || ports.contains(number)
    }

    /// What both patterns mean; `nil` when that is nothing.
    package func intersection(_ other: HostPattern) -> HostPattern? {
        if let port, let theirs = other.port, port != theirs { return nil }
        guard let hosts = Self.intersection(hosts, other.hosts) else { return nil }
        return HostPattern(hosts, port: port ?? other.port)
    }

    private static func intersection(_ left: Hosts, _ right: Hosts) -> Hosts? {
        switch (left, right) {
        case (.exactly, _): HostPattern(right).coversAll(of: left) ? left : nil
        case (_, .exactly): HostPattern(left).coversAll(of: right) ? right : nil
        case (.subdomains(let one), .subdomains(let other)):
            one == other || one.hasSuffix(".\(other)") ? left : other.hasSuffix(".\(one)") ? right : nil
        }
    }

    private func coversAll(of hosts: Hosts) -> Bool {
        if case .exactly(let host) = hosts { covers(host) } else { self.hosts == hosts }
    }

    package var description: String {
        let text =
            switch hosts {
            case .exactly(let host): host.authority
            case .subdomains(let name): "*.\(name)"
            }
        return port.map { "\(text):\($0)" } ?? text
    }
}

extension HostPattern {
    package init(json: JSON) throws(PolicyValueError) { try self.init(try FieldReader.text(json)) }

    package var json: JSON { .string(description) }
}
