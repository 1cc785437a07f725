import FoundationEssentials
import PosternAudit
import PosternJSON
import PosternTunnelWire

/// What a connector has kept of the log, for its operator, read from the file while the connector may run.
package struct RegistrationReport: Sendable {
    package let lines: [String]
    /// What can be accepted now.
    package let words: Set<String>

    /// - Parameter stateFile: absolute.
    package init(stateFile: String, pins: RegistrationWatch.Pins, now: Date = Date()) throws {
        let file = RegistrationFile(state: stateFile, accepted: stateFile + ".accepted")
        guard let json = try file.load() else {
            (lines, words) = (["The connector has not seen the log of registrations yet."], [])
            return
        }
        var watch = try RegistrationWatch(pins, json: json)
        watch.accept(RegistrationFile.words(try SmallFile.read(file.accepted) ?? []))
        let time = Int(now.timeIntervalSince1970)
        var (lines, words): ([String], Set<String>) = ([], [])
        if let head = watch.head {
            lines.append("log: \(head.size) registrations, root \(Hexadecimal.text(head.root)), seen \(time - head.time) s ago")
        }
        for authority in watch.ledger.authorities where authority.archivedAt == nil {
            let counts = authority.countsAt <= time ? "counts" : "counts in \((authority.countsAt - time) / 60) minutes"
            lines.append("authority \(authority.fingerprint): \(counts)")
        }
        for key in watch.ledger.connectorKeys.sorted() {
            lines.append("connector key \(key)\(key == pins.connectorKey ? " (this connector's)" : "")")
        }
        if let alarm = watch.alarm {
            lines.append("calls are refused: \(alarm.message)")
            if alarm.kind == .fork {
                words.insert(Hexadecimal.text(alarm.head.root))
                lines.append("head, to accept: \(Hexadecimal.text(alarm.head.root))")
            }
        }
        let unknown = watch.unknownAuthorities(at: Int.max)
        for authority in unknown {
            words.insert(authority.fingerprint)
            lines.append("unknown authority, to accept: \(authority.fingerprint)")
        }
        if !unknown.isEmpty, watch.ledger.modes.contains(where: { $0.mode == .api && $0.basis == .wait }) {
            words.insert(RegistrationMode.api.rawValue)
        }
        if watch.alarm == nil, let refusal = watch.refusal(now: time) { lines.append("calls are refused: \(refusal)") }
        self.lines = lines
        self.words = words
    }
}
