/// Signatures of thinking and unknown blocks: they prove that a block comes back as it was sent.
enum ScriptSignature {
    static func of(_ text: String) -> String {
        var first = StableHash(seed: 1)
        var second = StableHash(seed: 2)
        first.combine(text)
        second.combine(text)
        return "scripted-" + first.hex + second.hex
    }
}
