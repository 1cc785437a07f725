extension ControlMap {
    /// The map as a page in Markdown; docs/controls.md is that of the profile `strict`.
    package var page: String {
        var lines = [
            "<!-- Made by `postern sandbox policy controls strict --markdown`; `make check` holds it. Edit Sources/PosternPolicy/Reference. -->",
            "# Control map", "",
            "What one policy and the layers below it hold of well-known catalogues of controls, and what they do not. This page is the map of the policy",
            "`\(policyName)` (`\(digest)`);", "`postern sandbox policy controls FILE` makes that of yours, `--json` the same for programs.", "",
            "It is a map for whoever writes an assessment, and no assessment. Controls are named by their headings, shortened; numbers stand only where",
            "editions keep them. What has no counterpart here is left out. The layers are explained in [threats.md](threats.md), the settings in",
            "[policy-reference.md](policy-reference.md).",
        ]
        for catalogue in Catalogue.allCases {
            lines += [
                "", "## \(catalogue.rawValue)", "", "| control | in this policy | layers | what holds | what does not |",
                "| --- | --- | --- | --- | --- |",
            ]
            for row in rows where row.catalogue == catalogue {
                let settings =
                    row.settings.isEmpty ? "no setting" : row.settings.map { "`\($0.key)`: \(Self.cell($0.value))" }.joined(separator: "<br>")
                let layers = row.layers.map(\.rawValue).joined(separator: ", ")
                lines.append("| \(row.control) | \(settings) | \(layers) | \(Self.cell(row.holds)) | \(Self.cell(row.gap)) |")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `|` would end a cell, and `*` make text slanted.
    private static func cell(_ text: String) -> String { text.replacing("|", with: "\\|").replacing("*", with: "\\*") }
}
