/// How kinds are named in messages and in the reference.
extension SchemaKind {
    /// What the kind takes, in a few words.
    package var summary: String {
        switch self {
        case .text(let format): format.summary
        case .integer(let range): range.upperBound == .max ? "whole number, at least \(range.lowerBound)" : "whole number, \(range.text { "\($0)" })"
        case .boolean: "`true` or `false`"
        case .bytes(let range): "bytes with a unit, \(range.text(Quantity.text(bytes:)))"
        case .rate(let range): "bytes a second with a unit, \(range.text { Quantity.text(bytes: $0) + "/s" })"
        case .duration(let range): "time with a unit, \(range.text(Quantity.text(milliseconds:)))"
        case .percent(let range): "percent, \(range.text { "\($0)%" })"
        case .choice(let choices): choices.map { "`\($0.name)`" }.joined(separator: ", ")
        case .list(let element, let most): "list of \(element.summary); at most \(most)"
        case .oneOrList(let element, let most): "\(element.summary), or a list of them; at most \(most)"
        case .map(let key, let value, let most): "mapping of \(key.summary) to \(value.summary); at most \(most)"
        case .object: "mapping"
        case .bound(let kind): "\(kind.summary), or `none`"
        }
    }

    /// A value that fits, for remedies.
    package var example: String {
        switch self {
        case .text: "TEXT"
        case .integer(let range): "\(range.lowerBound)"
        case .boolean: "true"
        case .bytes: "512MiB"
        case .rate: "100MiB/s"
        case .duration: "30s"
        case .percent: "150%"
        case .choice(let choices): choices.first?.name ?? ""
        case .list(let element, _), .oneOrList(let element, _): "[\(element.example)]"
        case .map, .object: "{}"
        case .bound(let kind): kind.example
        }
    }
}

extension ClosedRange<Int> {
    fileprivate func text(_ write: (Int) -> String) -> String {
        upperBound == .max ? "at least \(write(lowerBound))" : "\(write(lowerBound)) to \(write(upperBound))"
    }
}
