import PosternJSON

/// One answer, decided: what is sent in which order, before anything is.
package struct ScriptedPlan: Sendable, Equatable {
    package enum Block: Sendable, Equatable {
        case text(String)
        case thinking(String, signature: String)
        /// `input` is the source of the input; `isCut` when it breaks off because of `max_tokens`.
        case call(id: String, tool: String, input: String, isCut: Bool)
        case unknown(note: String, signature: String)
    }

    package enum Step: Sendable, Equatable {
        case block(Block)
        case sleep(milliseconds: Int)
    }

    package enum Ending: Sendable, Equatable {
        /// A stop reason of the Messages API.
        case stop(String)
        case errorMidStream(type: String)
        case drop
    }

    package struct Usage: Sendable, Equatable {
        package var input = 0
        package var cacheRead = 0
        package var cacheCreation5m = 0
        package var cacheCreation1h = 0
        package var output = 0
    }

    /// An error to be answered instead: always, or only the first `times` times that the request with this `key` comes.
    package struct Failure: Sendable, Equatable {
        package var fault: ScriptedFault
        package var times: Int?
        package var key: UInt64
    }

    package var messageID: String
    package var model: String
    package var streams: Bool
    package var failures: [Failure] = []
    package var steps: [Step] = []
    package var ending: Ending = .stop("end_turn")
    package var usage = Usage()

    /// Milliseconds that the plan waits in all.
    package var wait: Int {
        steps.reduce(0) { if case .sleep(let milliseconds) = $1 { $0 + milliseconds } else { $0 } }
    }

    package var blocks: [Block] {
        steps.compactMap { if case .block(let block) = $0 { block } else { nil } }
    }
}

extension ScriptedPlan.Block {
    /// About how many tokens the block costs: four bytes each.
    var tokens: Int {
        let bytes =
            switch self {
            case .text(let text): text.utf8.count
            case .thinking(let text, _): text.utf8.count
            case .call(_, let tool, let input, _): tool.utf8.count + input.utf8.count + 16
            case .unknown(let note, _): note.utf8.count
            }
        return Tokens.count(bytes: bytes)
    }
}
