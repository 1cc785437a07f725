import ManagedAgentsAPI
import PosternJSON

/// What happens to a session from outside.
enum SessionInput: Sendable {
    /// Validated events of a client or a worker, to be taken all or none.
    case clientEvents([ClientEvent])
    /// The request that `span` began has ended. `messageIDs` are the ids under which text was previewed, by index of the first text
    /// block of a run.
    case modelFinished(span: String, Result<ModelResponse, ModelError>, previewIDs: [Int: String])
    /// The MCP servers have been asked for their tools, by the listing that this id began.
    case toolsListed(listing: String, [String: Result<[JSON], MCPFailure>])
    /// A call at an MCP server has ended, by itself.
    case mcpCallFinished(eventID: String, Result<MCPCallResult, MCPFailure>)
    /// The wait before another try is over.
    case retryDue
    /// The worker that held the work item is gone. It had been handed the log up to `deliveredSequence`.
    case leaseLost(deliveredSequence: Int, redelivery: Redelivery)
    /// The process has started again and has read the log.
    case resumed
    case updated(title: String??, metadata: JSONObject?, agent: JSONObject?)
}

/// What the shell must do once the step's rows are stored.
enum SessionEffect: Sendable, Equatable {
    case requestModel(ModelRequest, span: String)
    case cancelRequest(span: String)
    case listTools([MCPServer], listing: String)
    case cancelListing(listing: String)
    case callTool(eventID: String, MCPServer, tool: String, arguments: JSONObject)
    case cancelCall(eventID: String)
    case scheduleRetry(after: Duration)
    case cancelRetry
}

/// The outcome of feeding inputs to a machine: rows to store and effects to perform after that.
struct SessionStep: Sendable {
    var rows: [EventRow] = []
    var effects: [SessionEffect] = []
    /// One encoded event per event of the last `clientEvents` input.
    var echoes: [[UInt8]] = []
    /// Some call now waits for a worker, or the model has begun to work: there should be a worker.
    var needsWorker = false
}

/// Where a machine gets time, ids and chance from, so that tests choose them.
struct StepSource: Sendable {
    var now: @Sendable () -> Timestamp = { .now() }
    var makeID: @Sendable () -> String = { ResourceID.make(.event) }
    /// A number from 0 to 1, for the jitter of retries.
    var random: @Sendable () -> Double = { .random(in: 0...1) }
}
