import NIOCore
import PosternCore
import PosternJSON

/// The body of `POST /v1/messages`, put together from messages that were encoded when they were appended: a history costs a copy.
package enum AnthropicRequestBody {
    /// The API demands a bound of the answer. A model that takes less says so in its list, or the operator does.
    private static let answerTokens = 32_000

    /// - Parameter thinks: send `thinking: {type: "adaptive"}`.
    /// - Parameter acceptsEffort: whether the model takes `output_config.effort`.
    package static func make(_ request: ModelRequest, thinks: Bool, acceptsEffort: Bool) -> ByteBuffer {
        var head: [UInt8] = []
        var fields: JSONObject = [
            "model": .string(request.model), "max_tokens": JSON(request.maximumTokens ?? answerTokens), "stream": true,
        ]
        if thinks { fields["thinking"] = ["type": "adaptive"] }
        if acceptsEffort, let effort = request.effort { fields["output_config"] = ["effort": .string(effort)] }
        // `standard` is what the service does anyway, and naming it needs a beta header at some models.
        if let speed = request.speed, speed != "standard" { fields["speed"] = .string(speed) }
        if let geo = request.inferenceGeo { fields["inference_geo"] = .string(geo) }
        if !request.system.isEmpty { fields["system"] = .array(request.system) }
        if !request.tools.isEmpty { fields["tools"] = .array(request.tools) }
        JSON.object(fields).write(to: &head)
        head.removeLast()

        let size = request.messages.reduce(head.count + 16) { $0 + $1.count + 1 }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(size)
        buffer.writeBytes(head)
        buffer.writeString(",\"messages\":[")
        for (index, message) in request.messages.enumerated() {
            if index > 0 { buffer.writeInteger(UInt8(ascii: ",")) }
            buffer.writeBytes(message)
        }
        buffer.writeString("]}")
        return buffer
    }
}
