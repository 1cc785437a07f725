/// What a field of a policy takes. The reader, the reference page and the JSON Schema are all made from it.
package indirect enum SchemaKind: Sendable {
    case text(TextFormat)
    case integer(ClosedRange<Int>)
    case boolean
    /// Bytes: a whole number, or a text such as `512MiB`. Read as the number.
    case bytes(ClosedRange<Int>)
    /// Bytes a second: `100MiB/s`. Read as the number.
    case rate(ClosedRange<Int>)
    /// Milliseconds: a text such as `30s`. Read as `30000ms`.
    case duration(ClosedRange<Int>)
    /// `150%`.
    case percent(ClosedRange<Int>)
    case choice([SchemaChoice])
    /// At most so many elements, none twice.
    case list(SchemaKind, most: Int)
    /// A list, or one value in the place of a list of one.
    case oneOrList(SchemaKind, most: Int)
    case map(key: TextFormat, SchemaKind, most: Int)
    case object([SchemaField])
    /// The same, or the word `none` for no bound.
    case bound(SchemaKind)

    package static let none = "none"
}

package struct SchemaChoice: Sendable {
    package var name: String
    package var help: String

    package init(_ name: String, _ help: String) {
        self.name = name
        self.help = help
    }
}

/// One key of a mapping.
package struct SchemaField: Sendable {
    package var name: String
    package var kind: SchemaKind
    package var isRequired: Bool
    /// What holds where the key is absent, for the reference; `nil` where the profile or another key says so.
    package var fallback: String?
    /// One to three sentences: what, who keeps it, bounds that the kind does not tell.
    package var help: String
    /// The list adds to the profile's instead of replacing it; `!x` takes the profile's entry `x` out.
    package var addsToProfile: Bool

    package init(
        _ name: String, _ kind: SchemaKind, required isRequired: Bool = false, default fallback: String? = nil, adds: Bool = false, _ help: String
    ) {
        self.name = name
        self.kind = kind
        self.isRequired = isRequired
        self.fallback = fallback
        self.help = help
        addsToProfile = adds
    }
}
