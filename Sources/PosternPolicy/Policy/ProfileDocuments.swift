import PosternJSON

/// The profiles as documents, from which every policy starts.
extension Profile {
    /// What holds where a policy that extends this profile says nothing.
    package var document: PolicyNode {
        PolicyNode(json: .object(members), at: SourcePlace(file: "profile \(rawValue)", line: 1, column: 1))
    }

    private var members: JSONObject {
        var document: JSONObject = [
            "version": 1,
            "name": .string(rawValue),
            "extends": .string(rawValue),
            "files": ["read": [], "write": [], "hidden": Self.strings(Self.hidden), "protected": Self.strings(Self.protected)],
            "workspace": ["mode": "rw"],
            "limits": [
                "memory": "4GiB", "processes": 512, "cpu": "200%", "io": "none", "open_files": 4096, "file_size": "4GiB", "disk": "10GiB",
                "inodes": 500_000, "temporary": "1GiB", "call_time": "10m",
            ],
            "budgets": [
                "results": ["result": "32MiB", "session": "1GiB", "day": "4GiB"],
                "egress": ["call": "10MiB", "host": "100MiB", "session": "200MiB", "day": "500MiB", "overrun": "fail"],
            ],
            "tools": ["allow": ["*"], "deny": [], "ask": []],
            "redaction": [
                "detectors": .object(JSONObject(Self.maskedDetectors.map { ($0, "mask") }))
            ],
            "require_all_layers": false,
        ]
        if self == .build {
            document["limits"] = [
                "memory": "16GiB", "processes": 4096, "cpu": "none", "io": "none", "open_files": 65_536, "file_size": "16GiB", "disk": "50GiB",
                "inodes": 5_000_000, "temporary": "4GiB", "call_time": "1h",
            ]
        }
        return document
    }

    /// Credentials that programs keep in folders of people; they are hidden in the workspace and in bound trees.
    private static let hidden = [
        "**/.ssh", "**/.gnupg", "**/.aws", "**/.azure", "**/.config/gcloud", "**/.kube", "**/.docker/config.json", "**/.netrc", "**/.git-credentials",
        "**/.npmrc", "**/.pypirc", "**/.pgpass", "**/.my.cnf", "**/.vault-token", "**/.env", "**/.env.local", "**/.config/gh",
        "**/.terraform.d/credentials.tfrc.json", "**/id_rsa", "**/id_ecdsa", "**/id_ed25519",
    ]

    /// Files that run or steer something outside as soon as somebody uses git, an editor or an agent in the folder.
    private static let protected = [
        "**/.git/hooks", "**/.git/config", "**/.git/modules", "**/.gitmodules", "**/.husky", "**/.claude", "**/.mcp.json", "**/.codex", "**/.gemini",
        "**/.cursor", "**/.vscode", "**/.idea", "**/.devcontainer", "**/.envrc",
    ]

    /// Text that is a credential by its form. Card numbers, IBANs and addresses are left to operators: programs print such things all day.
    private static let maskedDetectors = [
        "anthropic-key", "aws-access-key", "aws-secret-key", "github-token", "gitlab-token", "google-key", "hugging-face-token", "npm-token",
        "openai-key", "private-key", "pypi-token", "sendgrid-key", "slack-token", "slack-webhook", "stripe-key", "url-password", "vault-token",
    ]

    private static func strings(_ texts: [String]) -> JSON { .array(texts.map(JSON.string)) }
}
