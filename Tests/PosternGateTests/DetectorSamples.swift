import PosternGate

/// Texts that each detector must find, and texts that look alike and must stay. Put together from parts, so that no scanner of repositories
/// takes them for real ones.
enum DetectorSamples {
    private static func repeated(_ text: String, _ count: Int) -> String { String(String(repeating: text, count: count).prefix(count)) }

    static let found: [(RedactionDetector, String)] = [
        (.awsAccessKey, "AKIA" + "IOSFODNN7EXAMPLE"), (.awsAccessKey, "ASIA" + repeated("Z9", 16)),
        (.awsSecretKey, "secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"),
        (.awsSecretKey, #"SecretAccessKey": ""# + "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"),
        (.githubToken, "ghp_" + repeated("aB3", 36)), (.githubToken, "ghs_" + repeated("aB3", 80)),
        (.githubToken, "github_pat_" + repeated("11ABCDEFG0", 22) + "_" + repeated("x9Y", 59)),
        (.gitlabToken, "glpat-" + repeated("aB3-_", 20)), (.slackToken, "xoxb-" + "123456789012-" + repeated("abC", 24)),
        (.slackToken, "xapp-1-" + repeated("A1", 40)), (.slackWebhook, "hooks.slack.com/services/T00000000/B00000000/" + repeated("X", 24)),
        (.googleKey, "AIza" + repeated("Sy-_9", 35)), (.googleKey, "ya29." + repeated("a0Af", 60)), (.googleKey, "GOCSPX-" + repeated("a-B_3", 28)),
        (.anthropicKey, "sk-ant-" + "api03-" + repeated("aB3-_", 90)), (.openaiKey, "sk-proj-" + repeated("aB3_-", 120)),
        (.openaiKey, "sk-" + repeated("aB3", 48)), (.stripeKey, "sk_live_" + repeated("4eC39", 24)), (.stripeKey, "whsec_" + repeated("aB3", 32)),
        (.npmToken, "npm_" + repeated("aB3", 36)), (.pypiToken, "pypi-AgE" + "IcHlwaS5vcmc" + repeated("aB3-_", 100)),
        (.sendgridKey, "SG." + repeated("aB3", 22) + "." + repeated("xY-_", 43)), (.huggingFaceToken, "hf_" + repeated("aBc", 34)),
        (.vaultToken, "hvs." + repeated("aB3_", 90)),
        (
            .privateKey,
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n" + repeated("MIIEow\n", 1_600) + "\n-----END RSA PRIVATE KEY-----"
        ), (.privateKey, #"-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"#),
        (.privateKey, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----"),
        (.privateKey, "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n-----END PGP PRIVATE KEY BLOCK-----"),
        (.jwt, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"),
        (.bearerToken, "Bearer " + repeated("mF_9.B5f-4.1JqM", 30)), (.bearerToken, "bearer\t" + repeated("aB3", 20) + "=="),
        (.basicCredentials, "Authorization: Basic " + "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        (.urlPassword, "://postgres:" + "hunter2hunter2@"), (.cardNumber, "4111" + "111111111111"), (.cardNumber, "4111 1111 1111 " + "1111"),
        (.cardNumber, "5500-0000-0000-" + "0004"), (.cardNumber, "3782 822463 " + "10005"), (.cardNumber, "60111111" + "11111117"),
        (.cardNumber, "22230000" + "48400011"), (.iban, "DE89370400440532" + "013000"), (.iban, "GB29 NWBK 6016 1331 " + "9268 19"),
        (.iban, "FR14 2004 1010 0505 0001 " + "3M02 606"), (.iban, "NO93 8601 " + "1117 947"), (.email, "first.last+tag@sub.example.co.uk"),
        (.email, "o'neil@example.org"),
    ]

    static let kept: [(RedactionDetector, String)] = [
        (.awsAccessKey, "AKIA" + repeated("Z9", 15)), (.awsAccessKey, "XAKIA" + repeated("Z9", 16)), (.awsAccessKey, "AKIA" + repeated("Z9", 17)),
        (.awsAccessKey, "akia" + repeated("z9", 16)), (.githubToken, "ghp_" + repeated("a", 35)), (.githubToken, "xghp_" + repeated("a", 36)),
        (.openaiKey, "task-proj-" + repeated("management-", 30)), (.openaiKey, "sk-learn"), (.anthropicKey, "sk-ant-farm"),
        (.privateKey, "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"), (.privateKey, "-----BEGIN CERTIFICATE-----"),
        (.jwt, "eyJhbGciOiJIUzI1NiJ9.notJSON.sig"), (.bearerToken, "the bearer of this letter"), (.bearerToken, "Bearer token"),
        (.urlPassword, "https://example.com:8080/a"), (.urlPassword, "git@github.com:a/b.git https://x.example/@scope"),
        (.cardNumber, "4111111111111112"), (.cardNumber, "1700000000000000000"), (.cardNumber, "0.4111111111111111"),
        (.cardNumber, "a4111111111111111"),
        (.cardNumber, "41111111111111111111"), (.cardNumber, "4111 1111 1111"), (.cardNumber, "4444444444444444"),
        (.iban, "DE89370400440532013001"), (.iban, "DE8937040044053201300"), (.iban, "XX89370400440532013000"),
        (.email, "@example.com"), (.email, "user@localhost"), (.email, "a @ b.com"), (.stripeKey, "sk_live_"), (.slackToken, "xoxo-hugs"),
        (.npmToken, "npm_config_registry"), (.vaultToken, "hvs.short"), (.huggingFaceToken, "hf_transfer"),
    ]
}
