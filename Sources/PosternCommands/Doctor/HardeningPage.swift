/// The page docs/hardening.md, made from the checklist.
enum HardeningPage {
    static var text: String {
        var lines = [
            "<!-- Made by `postern docs hardening`; `make check` holds it against the code. Edit Sources/PosternCommands/Doctor. -->",
            "# Hardening", "",
            "What to see to on a worker's machine, besides what Postern does by itself. `postern doctor` looks at each of these and prints the same remedy, or a closer one, for",
            "what it finds lacking. It reads the worker's settings from `POSTERN_CONFIG` and the environment, and `--workdir`. Lines marked `limited` leave the",
            "boundary standing, with less behind it; `missing` means that a worker would not start.", "",
            "```", "postern doctor --offline --workdir /srv/agents", "postern sandbox selftest", "```",
        ]
        for group in HardeningItem.Group.allCases {
            lines += ["", "## \(group.rawValue)", "", "| see to it | why | line of `doctor` |", "| --- | --- | --- |"]
            for item in HardeningItem.all where item.group == group {
                let subjects = item.subjects.isEmpty ? "none: not to be seen from here" : item.subjects.map { "`\($0)`" }.joined(separator: ", ")
                lines.append("| \(capitalised(item.remedy)) | \(item.reason) | \(subjects) |")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func capitalised(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }
}
