/// Names of events (contract section 4.3).
package enum EventTypes {
    /// What `types[]` of an event list may name: every event that is stored.
    package static let filterable: Set<String> = [
        "agent.custom_tool_use", "agent.mcp_tool_result", "agent.mcp_tool_use", "agent.message", "agent.thinking", "agent.thread_context_compacted",
        "agent.thread_message_received", "agent.thread_message_sent", "agent.tool_result", "agent.tool_use", "session.error", "session.status_idle",
        "session.status_rescheduled", "session.status_running", "session.status_terminated", "session.thread_created", "session.thread_status_idle",
        "session.thread_status_rescheduled", "session.thread_status_running", "session.thread_status_terminated", "session.updated", "session.usage",
        "span.model_request_end", "span.model_request_start", "span.outcome_evaluation_end", "span.outcome_evaluation_ongoing",
        "span.outcome_evaluation_start", "system.message", "user.custom_tool_result", "user.define_outcome", "user.interrupt", "user.message",
        "user.tool_confirmation", "user.tool_result", "workflow_run.created", "workflow_run.error", "workflow_run.phase_ended",
        "workflow_run.phase_started", "workflow_run.status_ended", "workflow_run.status_idle", "workflow_run.status_running",
    ]
}
