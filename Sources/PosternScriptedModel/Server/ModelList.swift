import PosternJSON

/// The models as `GET /v1/models` shows them.
enum ModelList {
    static var anthropicPage: [UInt8] {
        let models = ScriptedModel.listedModels
        return JSON.object([
            "data": .array(models.map(anthropic)), "has_more": false, "first_id": JSON(models.first), "last_id": JSON(models.last),
        ]).encoded
    }

    /// Any id but the missing one is a model.
    static func anthropic(_ id: String) -> JSON {
        let yes: JSON = ["supported": true]
        let no: JSON = ["supported": false]
        return .object([
            "type": "model", "id": .string(id), "display_name": .string("Scripted model (\(id))"), "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active", "line": .null, "deprecated_at": .null, "retires_at": .null,
            "max_input_tokens": JSON(ScriptedModel.contextWindow(of: id)), "max_tokens": 64_000,
            "capabilities": .object([
                "batch": no, "citations": no, "code_execution": no,
                "context_management": [
                    "supported": false, "clear_thinking_20251015": no, "clear_tool_uses_20250919": no, "compact_20260112": no,
                ],
                "effort": ["supported": true, "low": yes, "medium": yes, "high": yes, "xhigh": yes, "max": yes],
                "image_input": yes, "pdf_input": yes,
                "server_tools": ["supported": false, "code_execution": no, "web_search": no],
                "structured_outputs": no,
                "thinking": [
                    "supported": true, "types": ["adaptive": yes, "between_tools": no, "disabled": yes, "enabled": yes],
                ],
            ]),
        ])
    }

    static var openAIPage: [UInt8] {
        JSON.object(["object": "list", "data": .array(ScriptedModel.listedModels.map(openAI))]).encoded
    }

    static func openAI(_ id: String) -> JSON {
        .object([
            "id": .string(id), "object": "model", "created": 1_767_225_600, "owned_by": "postern",
            "max_model_len": JSON(ScriptedModel.contextWindow(of: id)),
        ])
    }
}
