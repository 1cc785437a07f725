import PosternJSON

/// The answer to the making of a key: the only place that holds its secret.
enum KeyAnswer {
    static func show(_ answer: JSON, _ show: Show, output: String?) throws {
        guard let secret = answer["secret"]?.string else { throw CommandError(.failure, "the answer holds no key") }
        if let output {
            try TextFile.writeSecret(secret, to: output)
            var shown = answer.object ?? [:]
            shown["secret"] = nil
            return show.done("Wrote \(answer["id"]?.string ?? "the key") to \(output).", .object(shown))
        }
        if show.asJSON { return show.terminal.print(answer.indented) }
        show.terminal.note("\(answer["id"]?.string ?? "The key"), shown this once:")
        show.terminal.print(secret)
    }
}
