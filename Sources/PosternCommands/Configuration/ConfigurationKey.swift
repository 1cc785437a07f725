/// One setting. It has one name in three spellings: `--model-base-url`, `POSTERN_MODEL_BASE_URL`, and `model.base_url` in the file.
package struct ConfigurationKey: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case text
        /// An absolute URL with http or https.
        case url
        case path
        case integer(ClosedRange<Int>)
        /// Whole seconds, with or without a unit: `90`, `90s`, `5m`, `2h`. The official worker writes units.
        case seconds(ClosedRange<Int>)
        case boolean
        case choice([String])
        /// Comes by environment (or by a file that a `…_file` key names) only: arguments are visible to every user of the machine,
        /// and a configuration file is copied about.
        case secret
    }

    /// Which program reads it; each has its own file.
    package enum Section: String, Sendable, CaseIterable {
        case serve, worker, client
    }

    /// The spelling of the file, dots between levels.
    package var name: String
    package var section: Section
    package var kind: Kind
    /// As it would be written; nil where there is none.
    package var fallback: String?
    /// One or two sentences: what, unit, bounds.
    package var help: String
    /// Variables of other programs that are read when `POSTERN_…` is not set.
    package var aliases: [String]

    package init(_ name: String, _ section: Section, _ kind: Kind, default fallback: String? = nil, aliases: [String] = [], _ help: String) {
        self.name = name
        self.section = section
        self.kind = kind
        self.fallback = fallback
        self.help = help
        self.aliases = aliases
    }

    /// Without the dashes.
    package var flag: String { String(name.map { $0 == "." || $0 == "_" ? "-" : $0 }) }
    package var variable: String { "POSTERN_" + name.uppercased().replacing(".", with: "_") }
    package var isSecret: Bool { kind == .secret }
}

extension ConfigurationKey.Kind {
    /// Whether `text` is a value of this kind; the reason if not. The text itself is in no reason, it may be a secret in the wrong place.
    func problem(with text: String) -> String? {
        switch self {
        case .text, .secret, .path: text.isEmpty ? "must not be empty" : nil
        case .url: URLText.problem(with: text)
        case .integer(let range):
            Int(text).map { range.contains($0) } == true ? nil : "must be a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .seconds(let range):
            number(in: text).map { range.contains($0) } == true
                ? nil : "must be from \(range.lowerBound) to \(range.upperBound) seconds, such as 90, 90s, 5m or 2h"
        case .boolean: ["true", "false"].contains(text) ? nil : "must be true or false"
        case .choice(let values): values.contains(text) ? nil : "must be one of " + values.joined(separator: ", ")
        }
    }

    /// The number that `text` is; `nil` for kinds and texts that are none.
    func number(in text: String) -> Int? {
        switch self {
        case .integer: return Int(text)
        case .seconds:
            guard let unit = text.last, let factor = ["s": 1, "m": 60, "h": 3600][unit] else { return Int(text) }
            let (seconds, overflows) = (Int(text.dropLast()) ?? -1).multipliedReportingOverflow(by: factor)
            return overflows || seconds < 0 ? nil : seconds
        default: return nil
        }
    }

    /// For the reference page.
    var summary: String {
        switch self {
        case .text: "text"
        case .url: "URL"
        case .path: "path"
        case .integer(let range) where range.upperBound == .max: "integer, at least \(range.lowerBound)"
        case .integer(let range): "integer, \(range.lowerBound) to \(range.upperBound)"
        case .seconds(let range): "seconds, \(range.lowerBound) to \(range.upperBound); also `90s`, `5m`, `2h`"
        case .boolean: "`true` or `false`"
        case .choice(let values): values.map { "`\($0)`" }.joined(separator: ", ")
        case .secret: "secret"
        }
    }
}

/// A check of URLs that needs no URL parser: scheme, host, nothing that hides a credential.
enum URLText {
    static func problem(with text: String) -> String? {
        guard let scheme = ["http://", "https://"].first(where: { text.lowercased().hasPrefix($0) }) else {
            return "must start with http:// or https://"
        }
        let authority = text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if authority.contains("@") { return "must not carry a user name or password" }
        if authority.isEmpty || authority.hasPrefix(":") { return "must name a host" }
        if text.unicodeScalars.contains(where: { $0.value <= 0x20 }) { return "must not contain spaces" }
        return nil
    }
}
