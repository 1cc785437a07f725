import PosternPolicy

extension DocumentReader {
    /// How callers of a route prove who they are: `nil` for certificates. Beside `client_auth: none` nothing may stand that lends callers what the
    /// connector holds: who has a token, and no key of its own, would act with the connector's.
    mutating func bearer(_ route: Mapping) -> BearerSettings? {
        let isOpen = clientAuthIsNone(route)
        guard let node = route["bearer"] else {
            if isOpen, let node = route["client_auth"] {
                add(
                    node.place, route.path.key("client_auth"), value: "none", "needs a \"bearer\" block: nobody would be asked who calls",
                    "write bearer with issuer, audience and jwks, or leave client_auth out")
            }
            return nil
        }
        let path = route.path.key("bearer")
        let map = map(node, path, known: ["issuer", "audience", "jwks", "algorithms", "scopes", "clock_skew_seconds", "forward"])
        if !isOpen {
            add(node.place, path, "is for routes with client_auth: none; certificates say who calls", "write client_auth: none, or leave it out")
        }
        for key in ["headers", "client_certificate", "command"] {
            guard let node = route[key], isOpen else { continue }
            add(
                node.place, route.path.key(key),
                "cannot stand beside client_auth: none: callers without a certificate would act with what the connector holds",
                "leave it out, or ask for certificates")
        }
        guard let keys = keys(map) else { return nil }
        var settings = BearerSettings(issuer: issuer(map), audiences: audiences(map), keys: keys)
        settings.algorithms = algorithms(map) ?? settings.algorithms
        settings.scopes = Set(list(map, "scopes", Self.scope) ?? [])
        settings.clockSkew = number(map, "clock_skew_seconds", in: BearerSettings.clockSkews) ?? settings.clockSkew
        settings.forwards = flag(map, "forward") ?? false
        return isOpen ? settings : nil
    }

    private mutating func clientAuthIsNone(_ route: Mapping) -> Bool {
        guard let text = text(route, "client_auth"), let node = route["client_auth"] else { return false }
        guard ["none", "certificate"].contains(text) else {
            add(node.place, route.path.key("client_auth"), value: text, "must be one of certificate, none")
            return false
        }
        guard text == "none" else { return false }
        for key in ["agents", "sessions"] {
            guard let place = route["callers"]?[key]?.place else { continue }
            add(place, route.path.key("callers").key(key), "are named by certificates only", "name clients, or write any: true")
        }
        return true
    }

    private mutating func issuer(_ map: Mapping) -> String {
        let text = required(map, "issuer", "write the issuer as its tokens do, such as https://login.example.com")
        guard !text.isEmpty, let node = map["issuer"] else { return "" }
        if !text.hasPrefix("https://") || text.utf8.count > BearerSettings.longestText || !text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            add(node.place, map.path.key("issuer"), value: text, "must be an https URL of at most \(BearerSettings.longestText) bytes")
        }
        return text
    }

    /// One text or a list of them.
    private mutating func audiences(_ map: Mapping) -> Set<String> {
        guard let node = map["audience"] else {
            if map.isMap { add(map.node.place, map.path.key("audience"), "is missing", "write whom the tokens are for, such as the route's URL") }
            return []
        }
        if node.elements == nil { return text(map, "audience").map { [$0] } ?? [] }
        let audiences = list(map, "audience") { (text) throws(PolicyValueError) in
            guard !text.isEmpty else { throw PolicyValueError(value: text, rule: "must not be empty") }
            return text
        }
        if audiences?.isEmpty == true { add(node.place, map.path.key("audience"), "must name at least one") }
        return Set(audiences ?? [])
    }

    private mutating func keys(_ bearer: Mapping) -> BearerSettings.Keys? {
        let map = required(
            bearer, map: "jwks", known: ["file", "url", "addresses", "ca_file"], "name the issuer's keys: {file: …} or {url: https://…}")
        guard map.isMap else { return nil }
        guard (map["file"] == nil) != (map["url"] == nil) else {
            add(map.node.place, map.path, "must name a file or a URL, and not both")
            return nil
        }
        if map["file"] != nil {
            for key in ["addresses", "ca_file"] {
                if let node = map[key] { add(node.place, map.path.key(key), "is for a URL", "leave it out") }
            }
            return text(map, "file").map { .file($0) }
        }
        let ranges = list(map, "addresses") { (text) throws(PolicyValueError) in try AddressRange(text) }
        let caFile = text(map, "ca_file")
        guard let text = text(map, "url"), let node = map["url"] else { return nil }
        do throws(PolicyValueError) {
            return .url(try KeySetURL(text, addresses: ranges.map { UpstreamAddresses(allowed: $0) } ?? .publicAndPrivate, caFile: caFile))
        } catch {
            add(node.place, map.path.key("url"), value: error.value, error.rule, error.remedy)
            return nil
        }
    }

    private mutating func algorithms(_ map: Mapping) -> Set<TokenAlgorithm>? {
        let algorithms = list(map, "algorithms") { (text) throws(PolicyValueError) in
            guard let algorithm = TokenAlgorithm(rawValue: text) else {
                throw PolicyValueError(value: text, rule: "must be one of \(TokenAlgorithm.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return algorithm
        }
        if algorithms?.isEmpty == true, let node = map["algorithms"] { add(node.place, map.path.key("algorithms"), "must name at least one") }
        return algorithms.map(Set.init)
    }

    /// RFC 6749, section 3.3.
    private static func scope(_ text: String) throws(PolicyValueError) -> String {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) else {
            throw PolicyValueError(value: text, rule: "must be one scope, of visible ASCII")
        }
        return text
    }
}
