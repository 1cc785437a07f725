/// One line of a script.
struct ScriptLine {
    private let text: Substring

    /// Trailing white space, a carriage return included, does not count.
    init(_ bytes: Substring.UTF8View) {
        var bytes = bytes
        while let last = bytes.last, last == 0x20 || last == 0x09 || last == 0x0D { bytes.removeLast() }
        text = Substring(bytes)
    }

    var isBlank: Bool { text.utf8.allSatisfy { $0 == 0x20 || $0 == 0x09 } }

    func step(number lineNumber: Int) throws(ScriptedFault) -> Script.Step {
        switch text.utf8.first {
        case UInt8(ascii: "\\"): return .say(String(text.dropFirst()))
        case UInt8(ascii: "$"):
            guard text.hasPrefix("$ ") else { return .say(String(text)) }
            return .call(tool: "bash", input: bashInput(command: text.dropFirst(2)))
        case UInt8(ascii: "@"): return toolCall() ?? .say(String(text))
        case UInt8(ascii: "!"): return try directive(lineNumber: lineNumber)
        default: return .say(String(text))
        }
    }

    private func bashInput(command: Substring) -> String {
        JSONText.object(key: "command", value: String(command))
    }

    /// `@TOOL` or `@TOOL INPUT`; a line such as `@ someone` is speech.
    private func toolCall() -> Script.Step? {
        let rest = text.dropFirst()
        let name = rest.prefix { ($0.isASCII && ($0.isLetter || $0.isNumber)) || $0 == "_" || $0 == "-" }
        guard !name.isEmpty, name.utf8.count <= 128 else { return nil }
        let input = rest.dropFirst(name.count)
        guard input.isEmpty || input.first == " " else { return nil }
        let trimmed = input.drop { $0 == " " }
        return .call(tool: String(name), input: trimmed.isEmpty ? "{}" : String(trimmed))
    }

    private func directive(lineNumber: Int) throws(ScriptedFault) -> Script.Step {
        let words = text.split(separator: " ")
        let name = words[0]
        var arguments = words.dropFirst().map(String.init)
        func fault(_ reason: String) -> ScriptedFault { .invalid("script: line \(lineNumber): \(reason)") }
        func number(_ bounds: ClosedRange<Int>) throws(ScriptedFault) -> Int {
            guard let word = arguments.first, let value = Int(word), bounds.contains(value) else {
                throw fault("\(name) needs a number from \(bounds.lowerBound) to \(bounds.upperBound)")
            }
            arguments.removeFirst()
            return value
        }

        let step: Script.Step
        switch name {
        case "!text": step = .text(tokens: try number(1...1_000_000))
        case "!think": step = .think(tokens: try number(1...1_000_000))
        case "!sleep": step = .sleep(milliseconds: try number(0...600_000))
        case "!error":
            let status = try number(400...599)
            var times: Int?
            if let word = arguments.first, Int(word) != nil { times = try number(1...1_000) }
            var retryAfter: Int?
            if let word = arguments.first, word.hasPrefix("retry-after="), let value = Int(word.dropFirst(12)), (0...86_400_000).contains(value) {
                retryAfter = value
                arguments.removeFirst()
            }
            step = .error(status: status, times: times, retryAfter: retryAfter)
        case "!error-mid-stream":
            step = .errorMidStream(type: arguments.isEmpty ? "overloaded_error" : arguments.removeFirst())
        case "!drop": step = .drop
        case "!max-tokens": step = .maxTokens
        case "!max-tokens-in-call": step = .maxTokensInCall
        case "!pause-turn": step = .pauseTurn
        case "!refusal": step = .refusal
        case "!unknown-block": step = .unknownBlock
        default: throw fault("there is no directive \(name); begin the line with a backslash to speak it")
        }
        guard arguments.isEmpty else { throw fault("\(name) does not take \"\(arguments.joined(separator: " "))\"") }
        return step
    }
}
