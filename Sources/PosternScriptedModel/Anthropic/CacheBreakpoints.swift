import PosternJSON

/// The `cache_control` marks of one request, under the service's rules for them.
struct CacheBreakpoints {
    private(set) var count = 0
    private(set) var hasHour = false
    private var hasFiveMinutes = false

    /// Takes note of one mark. Returns whether there is one.
    @discardableResult
    mutating func note(_ control: JSON?, at path: @autoclosure () -> String) throws(ScriptedFault) -> Bool {
        guard let control, !control.isNull else { return false }
        guard control["type"] == "ephemeral" else { throw .invalid("\(path()).cache_control.type: Input should be 'ephemeral'") }
        switch control["ttl"]?.string {
        case nil, "5m": hasFiveMinutes = true
        case "1h":
            guard !hasFiveMinutes else {
                throw .invalid("\(path()).cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")
            }
            hasHour = true
        default: throw .invalid("\(path()).cache_control.ttl: Input should be '5m' or '1h'")
        }
        count += 1
        guard count <= 4 else { throw .invalid("A maximum of 4 blocks with cache_control may be provided. Found \(count).") }
        return true
    }
}
