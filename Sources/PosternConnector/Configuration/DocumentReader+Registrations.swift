import PosternPolicy

extension DocumentReader {
    /// `registrations`: how the log of the tunnel's registrations is watched.
    mutating func registrations(_ node: PolicyNode, _ path: PolicyPath) -> ConnectorConfiguration.Registrations {
        let map = map(node, path, known: ["log_key_file", "state_file", "owner_key_file", "refuse_after_hours", "interval_seconds"])
        return .init(
            logKeyFile: required(map, "log_key_file", "name the key of the log, in PEM; `postern connector setup` fetches it"),
            stateFile: text(map, "state_file") ?? "registrations.json", ownerKeyFile: text(map, "owner_key_file"),
            refuseAfterHours: number(map, "refuse_after_hours", in: ConnectorConfiguration.Registrations.refuseAfterHours) ?? 24,
            intervalSeconds: number(map, "interval_seconds", in: ConnectorConfiguration.Registrations.intervalSeconds) ?? 60)
    }

    /// A list of fingerprints: 64 characters of lowercase hexadecimal each.
    mutating func fingerprints(_ map: Mapping, _ key: String) -> [String]? {
        list(map, key) { (text) throws(PolicyValueError) in
            guard text.utf8.count == 64, text.allSatisfy({ "0123456789abcdef".contains($0) }) else {
                throw PolicyValueError(value: text, rule: "must be a fingerprint: 64 characters of 0-9 and a-f")
            }
            return text
        }
    }
}
