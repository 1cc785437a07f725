/// What is looked for to find one known secret in results. Long secrets are looked for piece by piece, so that a part of one is found too.
enum SecretNeedles {
    /// Length of a piece in bytes.
    static let piece = 512

    /// Each form once, in its pieces; forms shorter than `KnownSecret.leastBytes` would be found everywhere and are left out.
    static func of(_ value: [UInt8]) -> [[UInt8]] {
        var seen = Set<[UInt8]>()
        return SecretForms.all.map { $0(value) }.filter { $0.count >= KnownSecret.leastBytes && seen.insert($0).inserted }.flatMap(pieces)
    }

    /// The form itself, or its pieces; the last piece reaches to the end.
    static func pieces(of form: [UInt8]) -> [[UInt8]] {
        guard form.count > piece else { return [form] }
        var starts = Array(stride(from: 0, to: form.count - piece, by: piece))
        starts.append(form.count - piece)
        return starts.map { Array(form[$0..<$0 + piece]) }
    }
}
