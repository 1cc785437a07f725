import PosternJSON

/// One line of a session's journal.
package enum JournalRecord: Sendable, Equatable {
    /// The item was claimed. `secret` is the item's own, as the poll gave it; `repeatsCalls` is the environment's wish for interrupted calls.
    case item(workID: String, environmentID: String, secret: String?, repeatsCalls: Bool = false, policyFragment: String? = nil)
    /// The value that the next heartbeat must name.
    case beat(String)
    /// The call is about to run.
    case intent(callID: String, tool: String)
    /// The call's result, as it passed the gate and is to be sent.
    case outcome(callID: String, event: [UInt8])
    /// The result was accepted, or is of no use any more.
    case settled(callID: String)
    /// The lease is over; what is known of calls stays.
    case released

    package var json: JSON {
        switch self {
        case .item(let work, let environment, let secret, let repeatsCalls, let fragment):
            [
                "k": "item", "work": .string(work), "environment": .string(environment), "secret": JSON(secret), "repeats": .bool(repeatsCalls),
                "policy": JSON(fragment),
            ]
        case .beat(let value): ["k": "beat", "value": .string(value)]
        case .intent(let call, let tool): ["k": "intent", "call": .string(call), "tool": .string(tool)]
        case .outcome(let call, let event): ["k": "outcome", "call": .string(call), "event": .string(String(decoding: event, as: UTF8.self))]
        case .settled(let call): ["k": "settled", "call": .string(call)]
        case .released: ["k": "released"]
        }
    }

    package init?(_ json: JSON) {
        func text(_ key: String) -> String? { json[key]?.string }
        switch text("k") {
        case "item":
            guard let work = text("work"), let environment = text("environment") else { return nil }
            self = .item(
                workID: work, environmentID: environment, secret: text("secret"), repeatsCalls: json["repeats"]?.bool ?? false,
                policyFragment: text("policy"))
        case "beat":
            guard let value = text("value") else { return nil }
            self = .beat(value)
        case "intent":
            guard let call = text("call"), let tool = text("tool") else { return nil }
            self = .intent(callID: call, tool: tool)
        case "outcome":
            guard let call = text("call"), let event = text("event") else { return nil }
            self = .outcome(callID: call, event: Array(event.utf8))
        case "settled":
            guard let call = text("call") else { return nil }
            self = .settled(callID: call)
        case "released": self = .released
        default: return nil
        }
    }
}
