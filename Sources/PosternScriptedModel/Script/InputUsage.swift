extension Conversation {
    /// Input tokens as the service would count them with a cache that never forgets: what lies before the newest assistant message was
    /// read from the cache if a breakpoint follows it, the rest up to the last breakpoint is written to it, the remainder is plain input.
    var inputUsage: ScriptedPlan.Usage {
        var position = prefixTokens
        var lastBreakpoint = prefixIsCached ? prefixTokens : 0
        var cached = 0
        for turn in turns {
            if turn.role == .assistant { cached = position }
            if let tokens = turn.cachedTokens { lastBreakpoint = position + tokens }
            position += turn.tokens
        }
        let read = min(cached, lastBreakpoint)
        var usage = ScriptedPlan.Usage()
        usage.cacheRead = read
        if cachesForAnHour { usage.cacheCreation1h = lastBreakpoint - read } else { usage.cacheCreation5m = lastBreakpoint - read }
        usage.input = position - lastBreakpoint
        return usage
    }
}
