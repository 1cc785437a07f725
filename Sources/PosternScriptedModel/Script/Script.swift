/// A script, read: what the model does in each of its answers, in order. The language is described in ``ScriptedModel/grammar``.
package struct Script: Sendable, Equatable {
    package enum Step: Sendable, Equatable {
        case say(String)
        case text(tokens: Int)
        case think(tokens: Int)
        /// `input` is the source text, which may be no JSON at all.
        case call(tool: String, input: String)
        case sleep(milliseconds: Int)
        case error(status: Int, times: Int?, retryAfter: Int?)
        case errorMidStream(type: String)
        case drop
        case maxTokens
        case maxTokensInCall
        case pauseTurn
        case refusal
        case unknownBlock
    }

    /// One answer of the model: its steps, those that are not calls first.
    package struct Answer: Sendable, Equatable {
        package var steps: [Step] = []

        /// Whether a blank line ends it: it calls tools, or it ends for a reason of its own.
        fileprivate var isComplete: Bool {
            steps.contains {
                switch $0 {
                case .call, .maxTokens, .maxTokensInCall, .pauseTurn, .refusal: true
                default: false
                }
            }
        }
    }

    /// At least one; the last one holds no call and closes with the report.
    package private(set) var answers: [Answer] = []

    /// Reads a script. A directive that does not exist or has a bad argument is refused with its line number.
    package init(parsing source: String) throws(ScriptedFault) {
        var answer = Answer()
        var calls: [Step] = []
        var paragraphEnded = false
        var number = 0
        for rawLine in source.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let line = ScriptLine(rawLine)
            guard !line.isBlank else {
                if answer.isComplete || !calls.isEmpty {
                    answers.append(Answer(steps: answer.steps + calls))
                    answer = Answer()
                    calls = []
                } else {
                    paragraphEnded = true
                }
                continue
            }
            let step = try line.step(number: number)
            switch step {
            case .call: calls.append(step)
            case .say(let text):
                // Lines of speech that follow one another are one block of text.
                if case .say(let before) = answer.steps.last {
                    answer.steps[answer.steps.count - 1] = .say(before + (paragraphEnded ? "\n\n" : "\n") + text)
                } else {
                    answer.steps.append(step)
                }
            default: answer.steps.append(step)
            }
            paragraphEnded = false
        }
        if answer.isComplete || !calls.isEmpty {
            answers.append(Answer(steps: answer.steps + calls))
            answer = Answer()
        }
        answers.append(answer)
    }
}
