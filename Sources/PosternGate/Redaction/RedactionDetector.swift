/// A built-in detector. The raw value is its name in policies, marks and counts.
package enum RedactionDetector: String, Sendable, CaseIterable {
    case awsAccessKey = "aws-access-key"
    case awsSecretKey = "aws-secret-key"
    case githubToken = "github-token"
    case gitlabToken = "gitlab-token"
    case slackToken = "slack-token"
    case slackWebhook = "slack-webhook"
    case googleKey = "google-key"
    case anthropicKey = "anthropic-key"
    case openaiKey = "openai-key"
    case stripeKey = "stripe-key"
    case npmToken = "npm-token"
    case pypiToken = "pypi-token"
    case sendgridKey = "sendgrid-key"
    case huggingFaceToken = "hugging-face-token"
    case vaultToken = "vault-token"
    case privateKey = "private-key"
    case jwt
    case bearerToken = "bearer-token"
    case basicCredentials = "basic-credentials"
    case urlPassword = "url-password"
    case cardNumber = "card-number"
    case iban
    case email

    /// One way in which a thing may look.
    struct Shape {
        /// In the syntax of `PatternParser`.
        var pattern: String
        var notAfter: ByteSet?
        var notBefore: ByteSet?
        var head: PatternHead?
        var tail: PatternTail?
        var check: MatchCheck?

        init(
            _ pattern: String, notAfter: ByteSet? = nil, notBefore: ByteSet? = nil, head: PatternHead? = nil, tail: PatternTail? = nil,
            check: MatchCheck? = nil
        ) {
            self.pattern = pattern
            self.notAfter = notAfter
            self.notBefore = notBefore
            self.head = head
            self.tail = tail
            self.check = check
        }
    }

    /// The shapes, from the issuers' own descriptions of their formats. A token is masked to its last character even where it is longer
    /// than the shape asks for.
    var shapes: [Shape] {
        switch self {
        case .awsAccessKey: [Shape(#"\b(AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"#)]
        case .awsSecretKey:
            [Shape(#"(?i)secret_?(access_?)?key["'\\]{0,3}\s{0,3}[:=]\s{0,3}["'\\]{0,3}[a-z0-9/+]{40}"#, notBefore: Self.base64OrPadding)]
        case .githubToken:
            [
                Shape(#"\bgh[pousr]_[A-Za-z0-9]{36}"#, tail: .whileIn(.alphanumeric)),
                Shape(#"\bgithub_pat_[A-Za-z0-9_]{60}"#, tail: .whileIn(.word)),
            ]
        case .gitlabToken: [Shape(#"\bgl(pat|ptt|dt|rt|cbt|ft)-[A-Za-z0-9_-]{20}"#, tail: .whileIn(Self.token))]
        case .slackToken: [Shape(#"\bx(ox[abeoprs]|app)-[A-Za-z0-9-]{10}"#, tail: .whileIn(Self.token))]
        case .slackWebhook: [Shape(#"hooks\.slack\.com/(services|workflows)/[A-Za-z0-9/]{20}"#, tail: .whileIn(.base64))]
        case .googleKey:
            [
                Shape(#"\bAIza[A-Za-z0-9_-]{35}"#, tail: .whileIn(Self.token)),
                Shape(#"\bya29\.[A-Za-z0-9_-]{20}"#, tail: .whileIn(Self.dotted)),
                Shape(#"\bGOCSPX-[A-Za-z0-9_-]{24}"#, tail: .whileIn(Self.token)),
            ]
        case .anthropicKey: [Shape(#"\bsk-ant-[A-Za-z0-9_-]{20}"#, tail: .whileIn(Self.token))]
        case .openaiKey:
            [
                Shape(#"\bsk-(proj|svcacct|admin)-[A-Za-z0-9_-]{20}"#, tail: .whileIn(Self.token)),
                Shape(#"\bsk-[A-Za-z0-9]{32}"#, tail: .whileIn(Self.token)),
            ]
        case .stripeKey:
            [
                Shape(#"\b[sr]k_(live|test)_[A-Za-z0-9]{16}"#, tail: .whileIn(.alphanumeric)),
                Shape(#"\bwhsec_[A-Za-z0-9+/]{24}"#, tail: .whileIn(.base64)),
            ]
        case .npmToken: [Shape(#"\bnpm_[A-Za-z0-9]{36}"#, tail: .whileIn(.alphanumeric))]
        case .pypiToken: [Shape(#"\bpypi-AgE[A-Za-z0-9_-]{50}"#, tail: .whileIn(Self.token))]
        case .sendgridKey: [Shape(#"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16}"#, tail: .whileIn(Self.token))]
        case .huggingFaceToken: [Shape(#"\bhf_[A-Za-z0-9]{30}"#, tail: .whileIn(.alphanumeric))]
        case .vaultToken: [Shape(#"\bhv[sbr]\.[A-Za-z0-9_-]{24}"#, tail: .whileIn(Self.token))]
        case .privateKey:
            [
                Shape("-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----", tail: .through(Array("PRIVATE KEY-----".utf8), limit: 16_384)),
                Shape("-----BEGIN PGP PRIVATE KEY BLOCK-----", tail: .through(Array("PRIVATE KEY BLOCK-----".utf8), limit: 65_536)),
                Shape("PuTTY-User-Key-File-[0-9]", tail: .through(Array("Private-MAC:".utf8), limit: 16_384)),
            ]
        // The second part of every JSON Web Token begins with '{"', and so with 'eyJ' (RFC 7519).
        case .jwt: [Shape(#"\beyJ[A-Za-z0-9_-]{10,300}\.eyJ[A-Za-z0-9_-]{4}"#, tail: .whileIn(Self.dotted))]
        case .bearerToken: [Shape(#"(?i)\bbearer[ \t]{1,4}[a-z0-9._~+/=-]{16}"#, tail: .whileIn(Self.bearer))]
        case .basicCredentials:
            [Shape(#"(?i)authorization["'\\]{0,2}[ ]?[:=][ ]?["'\\]{0,2}basic [a-z0-9+/]{8}"#, tail: .whileIn(Self.base64OrPadding))]
        case .urlPassword: [Shape(#"://[^\s:/@"'<>]{0,64}:[^\s/@"'<>]{1,128}@"#)]
        case .cardNumber:
            [
                Shape(
                    #"[2-6]\d{12,18}|[2-6]\d{3}[ -]\d{4}[ -]\d{4}[ -]\d{4}|3\d{3}[ -]\d{6}[ -]\d{5}"#, notAfter: Self.numberPart, notBefore: .word,
                    check: .card)
            ]
        case .iban:
            [
                Shape(
                    #"[A-Z]{2}\d{2}[A-Z0-9]{11,30}|[A-Z]{2}\d{2}( [A-Z0-9]{4}){2,7}( [A-Z0-9]{1,3})?"#, notAfter: .word, notBefore: .word,
                    check: .iban)
            ]
        case .email:
            [
                Shape(
                    #"@([A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2}"#,
                    head: PatternHead(set: .alphanumeric.union(ByteSet(of: "._%+'-")), limit: 64, least: 1), tail: .whileIn(.letters))
            ]
        }
    }

    private static let token = ByteSet.word.union(ByteSet(of: "-"))
    private static let dotted = token.union(ByteSet(of: "."))
    private static let base64OrPadding = ByteSet.base64.union(ByteSet(of: "="))
    private static let bearer = base64OrPadding.union(ByteSet(of: "._~"))
    /// Digits after these are a part of another number or name.
    private static let numberPart = ByteSet.word.union(ByteSet(of: "."))
}
