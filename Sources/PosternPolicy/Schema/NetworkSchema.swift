/// The keys of `network`, `secrets` and `forwards`.
enum NetworkSchema {
    static let rule: [SchemaField] = [
        SchemaField("id", .text(.ruleID), default: "rule-N", "Names the rule in refusals, in the audit and in metadata that narrows."),
        SchemaField(
            "verdict",
            .choice([
                SchemaChoice("allow", "what the rule means may leave"),
                SchemaChoice("deny", "what the rule means may not, whatever other rules say"),
            ]), default: "allow", "`deny` wins over `allow` wherever the rules stand."),
        SchemaField(
            "hosts", .oneOrList(.text(.hostPattern), most: 256), required: true,
            "`api.example.com`, `*.example.com` (its subdomains, not itself), `10.1.2.3`, `[fd00::1]`, each also with `:port`."),
        SchemaField(
            "ports", .oneOrList(.integer(1...65_535), most: 64), default: "80 and 443; every port in a rule that denies",
            "For patterns without a port of their own."),
        SchemaField("methods", .oneOrList(.text(.method), most: 32), default: "every method", "In upper case."),
        SchemaField(
            "paths", .oneOrList(.text(.urlPath), most: 256), default: "every path",
            "`*` is any run of characters but `/`, `**` any run, `?` one character. Matched against the normal form, without the query."),
        SchemaField(
            "credential", .text(.identifier),
            "The secret that a request must carry where the secret's binding says. A request without it, or with a credential of the sandbox's own, is not meant."
        ),
        SchemaField(
            "opaque", .boolean, default: "false",
            "TLS is passed through unread once the server name is checked. Such a rule holds no method, path or credential, and needs `max_sent`."),
        SchemaField(
            "upgrades", .oneOrList(.text(.line(most: 64)), most: 8), default: "none", "Protocols that a request may switch to, such as `websocket`."),
        SchemaField("max_sent", .bytes(0...Int.max), default: "the budgets", "Sent by one request, or by one opaque connection."),
        SchemaField("max_received", .bytes(0...Int.max), default: "no bound", "Received by one request, or by one opaque connection."),
    ]

    static let network: [SchemaField] = [
        SchemaField(
            "rules", .list(.object(rule), most: 512), default: "none, so nothing leaves", "What may leave the sandbox through the egress proxy."),
        SchemaField(
            "registries", .oneOrList(.text(.hostPattern), most: 64), default: "none",
            "For `extends: build` only: package registries, to which `GET` and `HEAD` on port 443 are allowed by one rule named `registries`."),
        SchemaField(
            "addresses", .oneOrList(.text(.addresses), most: 256), default: "none",
            "Private, loopback and other special addresses that names may resolve to. Metadata services of clouds cannot be named."),
        SchemaField(
            "egress",
            .choice([
                SchemaChoice("per_session", "a proxy process of the session's own"),
                SchemaChoice("shared", "one process for several sessions"),
            ]), default: "per_session", "`shared` takes less memory, and one wall fewer stands between the secrets of sessions."),
        SchemaField("upstream", .object(upstream), default: "none", "The way from the egress proxy to the Internet."),
    ]

    static let upstream: [SchemaField] = [
        SchemaField(
            "proxy", .text(.line("URL", most: 300)), default: "dial directly", "`http://host:port` of a corporate proxy that is asked with `CONNECT`."
        ),
        SchemaField("proxy_secret", .text(.identifier), default: "none", "The secret that is `user:password` for it (Basic)."),
        SchemaField(
            "ca_file", .text(.absolutePath), default: "the system's roots only",
            "PEM certificates that servers may chain to besides the system's roots."),
    ]

    static let vault: [SchemaField] = [
        SchemaField("address", .text(.line("URL", most: 300)), required: true, "`https://vault.internal:8200`; plain HTTP on loopback only."),
        SchemaField("path", .text(.vaultPath), required: true, "Below `/v1/`; version 2 has `data` behind the mount: `secret/data/team/db`."),
        SchemaField("field", .text(.line(most: 200)), required: true, "The member of the secret that is the value."),
        SchemaField("token_file", .text(.absolutePath), "A file whose first line is a Vault token."),
        SchemaField("role_id_file", .text(.absolutePath), "AppRole: a file with the role id, together with `secret_id_file`."),
        SchemaField("secret_id_file", .text(.absolutePath), "AppRole: a file with the secret id."),
        SchemaField("namespace", .text(.line(most: 200)), default: "none", "Vault's namespace."),
        SchemaField("ca_file", .text(.absolutePath), default: "the system's roots", "PEM certificates that Vault's must chain to."),
    ]

    static let source: [SchemaField] = [
        SchemaField("file", .text(.absolutePath), "A file of the worker's user with mode 0600 or stricter; its first line is the value."),
        SchemaField("variable", .text(.line("variable name", most: 128)), "A variable of the worker's environment, read once at start."),
        SchemaField("vault", .object(vault), "A field of a secret in HashiCorp Vault's key-value engine."),
    ]

    static let secret: [SchemaField] = [
        SchemaField(
            "from", .object(source), required: true, "Where the worker finds the value; one of the three. The value itself never stands in a policy."),
        SchemaField(
            "hosts", .oneOrList(.text(.hostPattern), most: 64), default: "none: for forwards only",
            "Where it may go. A pattern without a port means 443: no secret leaves unencrypted unless port 80 is named."),
        SchemaField("header", .text(.headerName), default: "authorization", "The one header that may carry it."),
        SchemaField(
            "schemes",
            .oneOrList(
                .choice([
                    SchemaChoice("none", "the header's whole value"), SchemaChoice("bearer", "`Bearer SECRET`"),
                    SchemaChoice("token", "`token SECRET`"),
                    SchemaChoice("basic", "`Basic`, decoded and encoded again"),
                ]), most: 4), default: "bearer in `authorization`, else none", "How the header carries it."),
        SchemaField("body", .object(body), default: "none", "One place in a JSON body that may carry it as well."),
        SchemaField("variable", .text(.variable), default: "none", "The variable of the sandbox that holds the placeholder."),
    ]

    private static let body: [SchemaField] = [
        SchemaField("method", .text(.method), required: true, "The request's method."),
        SchemaField("path", .text(.urlPath), required: true, "The request's path."),
        SchemaField("pointer", .text(.jsonPointer), required: true, "Where in the body (RFC 6901)."),
    ]

    static let forward: [SchemaField] = [
        SchemaField("name", .text(.identifier), required: true, "Names the forward in the audit and in metadata that narrows."),
        SchemaField("listen", .integer(1...65_535), required: true, "Port on 127.0.0.1 in the sandbox; not 53, 80, 443, 3128, which Postern uses."),
        SchemaField("to", .text(.authority), required: true, "The host and port outside."),
        SchemaField(
            "max_sent", .bytes(0...Int.max), "Bytes of one connection in each direction; for a forward without `postgres`, which must have it."),
        SchemaField("postgres", .object(postgres), "The perimeter authenticates at a PostgreSQL server and records statements."),
    ]

    private static let postgres: [SchemaField] = [
        SchemaField("role", .text(.line(most: 63)), required: true, "The role that every connection gets."),
        SchemaField("database", .text(.line(most: 63)), required: true, "The database that every connection gets."),
        SchemaField("secret", .text(.identifier), default: "none", "The secret that is the role's password."),
        SchemaField(
            "tls",
            .choice([
                SchemaChoice("verify-full", "the server's certificate is verified, name and all"), SchemaChoice("disable", "for loopback and tests"),
            ]), default: "verify-full", "Towards the server."),
        SchemaField("ca_file", .text(.absolutePath), default: "the system's roots", "PEM certificates that the server's must chain to."),
        SchemaField("record_text", .boolean, default: "false", "Record the text of statements, not only their digest, size and first keyword."),
    ]
}
