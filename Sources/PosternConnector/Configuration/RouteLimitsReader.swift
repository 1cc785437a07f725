import NIOCore
import PosternGate
import PosternPolicy

extension DocumentReader {
    /// The `limits` of a route. Problems are gathered with their places; unknown keys are problems.
    mutating func limits(_ route: Mapping) -> RouteLimits {
        var limits = RouteLimits()
        guard let node = route["limits"] else { return limits }
        let map = map(
            node, route.path.key("limits"),
            known: [
                "concurrency", "concurrency_per_caller", "request_bytes", "answer_bytes", "request_bytes_per_second", "head", "answer", "idle",
                "take", "connect", "linger", "call",
            ])
        limits.concurrency = number(map, "concurrency", in: RouteLimits.calls) ?? limits.concurrency
        limits.concurrencyPerCaller =
            number(map, "concurrency_per_caller", in: RouteLimits.calls) ?? min(limits.concurrencyPerCaller, limits.concurrency)
        limits.requestBytes = bytes(map, "request_bytes", in: RouteLimits.bytes) ?? limits.requestBytes
        limits.answerBytes = bytes(map, "answer_bytes", in: RouteLimits.bytes) ?? limits.answerBytes
        limits.requestRate = bytes(map, "request_bytes_per_second", in: RouteLimits.rates) ?? limits.requestRate
        limits.head = time(map, "head", in: RouteLimits.times) ?? limits.head
        limits.answer = time(map, "answer", in: RouteLimits.times) ?? limits.answer
        limits.idle = time(map, "idle", in: RouteLimits.times) ?? limits.idle
        limits.take = time(map, "take", in: RouteLimits.times) ?? limits.take
        limits.connect = time(map, "connect", in: RouteLimits.times) ?? limits.connect
        limits.linger = time(map, "linger", in: RouteLimits.lingers) ?? limits.linger
        limits.call = time(map, "call", in: RouteLimits.times) ?? limits.call
        return limits
    }

    /// The `answers` of a route.
    mutating func answers(_ route: Mapping) -> RouteAnswers {
        var answers = RouteAnswers()
        guard let node = route["answers"] else { return answers }
        let map = map(node, route.path.key("answers"), known: ["bytes_per_call", "bytes_per_session", "bytes_per_day", "redact"])
        answers.bytesPerCall = bytes(map, "bytes_per_call", in: RouteAnswers.bytes)
        answers.bytesPerSession = bytes(map, "bytes_per_session", in: RouteAnswers.bytes)
        answers.bytesPerDay = bytes(map, "bytes_per_day", in: RouteAnswers.bytes)
        answers.redact = redact(map)
        return answers
    }

    /// A list of detectors, which mask then, or a mapping of detectors to what they do.
    private mutating func redact(_ map: Mapping) -> [RedactionDetector: RedactionAction] {
        guard let node = map["redact"] else { return [:] }
        let path = map.path.key("redact")
        var found: [RedactionDetector: RedactionAction] = [:]
        guard let members = node.members else {
            let list = list(map, "redact") { (text) throws(PolicyValueError) in try Self.detector(text) }
            for detector in list ?? [] { found[detector] = .mask }
            return found
        }
        for member in members {
            let detector: RedactionDetector
            do throws(PolicyValueError) { detector = try Self.detector(member.key) } catch {
                add(member.keyPlace, path.key(member.key), value: error.value, error.rule)
                continue
            }
            guard let action = member.value.text.flatMap(RedactionAction.init(rawValue:)) else {
                let names = RedactionAction.allCases.map(\.rawValue).joined(separator: ", ")
                add(member.value.place, path.key(member.key), "must be one of \(names)")
                continue
            }
            found[detector] = action
        }
        return found
    }

    private static func detector(_ text: String) throws(PolicyValueError) -> RedactionDetector {
        guard let detector = RedactionDetector(rawValue: text) else {
            throw PolicyValueError(value: text, rule: "must be one of \(RedactionDetector.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return detector
    }

    /// Bytes: a whole number, or one with a unit, such as `64MiB`.
    mutating func bytes(_ map: Mapping, _ key: String, in bounds: ClosedRange<Int>) -> Int? {
        guard let node = map[key] else { return nil }
        let number: Int? = if case .integer(let number) = node.value { number } else { node.text.flatMap(Quantity.bytes) }
        guard let number, bounds.contains(number) else {
            add(
                node.place, map.path.key(key),
                "must be bytes from \(Quantity.text(bytes: bounds.lowerBound)) to \(Quantity.text(bytes: bounds.upperBound))",
                "write 64MiB or 67108864")
            return nil
        }
        return number
    }

    /// A time with its unit, such as `30s`.
    private mutating func time(_ map: Mapping, _ key: String, in bounds: ClosedRange<Int>) -> TimeAmount? {
        guard let node = map[key] else { return nil }
        guard let milliseconds = node.text.flatMap(Quantity.milliseconds), bounds.contains(milliseconds) else {
            add(
                node.place, map.path.key(key),
                "must be a time from \(Quantity.text(milliseconds: bounds.lowerBound)) to \(Quantity.text(milliseconds: bounds.upperBound))",
                "write it with its unit, such as 30s or 5m")
            return nil
        }
        return .milliseconds(Int64(milliseconds))
    }
}
