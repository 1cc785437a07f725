/// The keys of a fragment: what metadata of an environment or a session may say to narrow a policy. There is no key for anything that only
/// the perimeter decides: sources of secrets, addresses, the way to the Internet, redaction, the values of variables.
package enum FragmentSchema {
    package static let fields: [SchemaField] = [
        SchemaField(
            "files",
            .object([
                SchemaField(
                    "read", .list(.text(.absolutePath), most: 256), default: "all of the policy's", "Only what stands in these trees can be read."),
                SchemaField(
                    "write", .list(.text(.absolutePath), most: 256), default: "all of the policy's", "Only what stands in these trees can be written."
                ),
                SchemaField("hidden", .list(.text(.pathGlob), most: 128), default: "none", "Masked besides what the policy hides."),
                SchemaField("protected", .list(.text(.pathGlob), most: 128), default: "none", "Read-only besides what the policy protects."),
            ]), "Files of the host."),
        field("workspace", of: PolicySchema.document, "The stricter mode holds."),
        SchemaField(
            "network",
            .object([
                SchemaField("allow", .list(.text(.ruleID), most: 128), default: "all", "Ids of the policy's rules that go on allowing."),
                SchemaField(
                    "rules", .list(.object(NetworkSchema.rule), most: 128), default: "none",
                    "Rules that have to allow a request as well; an empty list allows nothing."),
            ]), "What may leave the sandbox."),
        SchemaField("secrets", .list(.text(.identifier), most: 128), default: "all", "Names of the policy's secrets that may be used."),
        SchemaField("forwards", .list(.text(.identifier), most: 64), default: "all", "Names of the policy's forwards that stay."),
        field("limits", of: PolicySchema.document, "The smaller number holds."),
        field("budgets", of: PolicySchema.document, "The smaller number holds."),
        SchemaField("variables", .list(.text(.variable), most: 128), default: "all", "Names of the policy's variables that are set."),
        field("tools", of: PolicySchema.document, "The stricter verdict holds."),
        SchemaField("require_all_layers", .boolean, default: "the policy's", "`true` holds if either says so."),
    ]

    /// The short form: names of rules, forwards and secrets that stay.
    package static let names = SchemaKind.list(.text(.ruleID), most: 128)

    private static func field(_ name: String, of fields: [SchemaField], _ help: String) -> SchemaField {
        let kind = fields.first { $0.name == name }?.kind ?? .object([])
        return SchemaField(name, kind, default: "the policy's", help)
    }
}
