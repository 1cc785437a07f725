/// Remembers something of models, by id. Bounded: an id that comes when it is full is asked for each time.
actor ModelMemo<Value: Sendable> {
    private let maximumModels = 1_000
    private var known: [String: Value] = [:]

    func value(of model: String) -> Value? { known[model] }

    func remember(_ value: Value, of model: String) {
        if known[model] != nil || known.count < maximumModels { known[model] = value }
    }
}
