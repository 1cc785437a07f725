/// A model that does exactly what the user's message says, so that all of Postern can be tried, tested and loaded without a key.
/// It is reached over HTTP like any other model; see ``ScriptedModelServer``.
package enum ScriptedModel {
    /// The script language, as Markdown: shown by `postern scripted-model --help`.
    package static let grammar = """
        The scripted model reads the newest user message line by line and does what it says. It keeps no state: how far the
        script has come is counted in the messages that follow it, so the same request always gets the same answer.

        | line | what the model does |
        | --- | --- |
        | `$ CMD` | calls the tool `bash` with `{"command": CMD}` |
        | `@TOOL {json}` | calls TOOL with that input (`{}` if left out). Input that is no JSON is sent as it stands, to test the reader |
        | *(blank)* | ends the turn if it holds a call: calls between two blank lines are parallel calls of one turn |
        | `\\LINE` | speaks LINE, whatever it begins with |
        | anything else | is spoken; the text of a turn comes before its calls |

        | directive | what the model does |
        | --- | --- |
        | `!text N` | speaks N tokens |
        | `!think N` | thinks N tokens; the block is signed and must come back unchanged, else 400, as at the real service |
        | `!sleep MS` | waits (at most 600000) at this point of the answer |
        | `!error S [N] [retry-after=MS]` | answers HTTP status S (400–599); with N, only the first N times that this very request comes |
        | `!error-mid-stream [TYPE]` | sends an error event (`overloaded_error` by default) at this point and ends |
        | `!drop` | closes the connection at this point |
        | `!max-tokens` | stops here with `max_tokens` |
        | `!max-tokens-in-call` | stops in the middle of the input of this turn's first call with `max_tokens` |
        | `!pause-turn` | stops here with `pause_turn`; the script goes on when the answer is sent back |
        | `!refusal` | stops here with `refusal` |
        | `!unknown-block` | sends a content block of a type that nobody knows; it must come back unchanged |

        After the last call the model reports how many calls ran and how many failed, and quotes the start of the last result.
        Text that exceeds `max_tokens` is cut there. A token is four bytes. Every model id is accepted; `scripted-small` has a
        context window of 8,000 tokens, every other one 1,000,000; `scripted-plain` takes no messages of the role `system`;
        `no-such-model` is not found. Any API key is accepted, or none.
        """

    /// The context window of a model id, in tokens.
    static func contextWindow(of model: String) -> Int { model == "scripted-small" ? 8_000 : 1_000_000 }

    /// A model id that takes instructions at the beginning only.
    static let plainModel = "scripted-plain"

    /// A model id that no request finds, to see what an error looks like.
    static let missingModel = "no-such-model"

    /// The ids that `GET /v1/models` lists; others are answered too.
    static let listedModels = ["scripted-model", "scripted-small"]
}
