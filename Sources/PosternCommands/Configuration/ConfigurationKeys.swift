/// Every setting of `postern`, documented once: the flags' help and docs/configuration.md are made from this.
extension ConfigurationKey {
    // MARK: serve

    package static let listen = ConfigurationKey(
        "listen", .serve, .text, default: "127.0.0.1:8400",
        "Address and port of the API. Port 0 takes a free one; the line on standard output names it. Plain HTTP is refused beyond loopback.")
    package static let data = ConfigurationKey(
        "data", .serve, .path, default: "postern-data", "Folder of the database, `admin.key` and `seal.key`; made with mode 0700 if it is missing.")
    package static let tlsCertificate = ConfigurationKey(
        "tls.cert", .serve, .path, "PEM file with the server's certificate and its chain. Needs `tls.key`.")
    package static let tlsKey = ConfigurationKey("tls.key", .serve, .path, "PEM file with the private key of `tls.cert`.")
    package static let modelProvider = ConfigurationKey(
        "model.provider", .serve, .choice(["anthropic", "openai"]), default: "anthropic",
        "What the model service speaks: the Anthropic Messages API, or OpenAI Chat Completions (vLLM, Ollama, llama.cpp and others).")
    package static let modelBaseURL = ConfigurationKey(
        "model.base_url", .serve, .url, "Where the model service is. Default: https://api.anthropic.com for `anthropic`; needed for `openai`.")
    package static let modelAPIKeyFile = ConfigurationKey(
        "model.api_key_file", .serve, .path, "File that holds the model service's key, alone on its first line.")
    package static let modelAPIKey = ConfigurationKey(
        "model.api_key", .serve, .secret,
        "The model service's key. With `anthropic`, ANTHROPIC_API_KEY is read too; with `openai`, OPENAI_API_KEY. Local services need none.")
    package static let modelCAFile = ConfigurationKey(
        "model.ca_file", .serve, .path, "PEM file of certificate authorities to trust beside the system's own when the model service is dialled.")
    package static let modelContextTokens = ConfigurationKey(
        "model.context_tokens", .serve, .integer(2_000...100_000_000),
        "Tokens that the model's context holds, for services whose list of models does not say so; where it does, the smaller of the two holds. Left out "
            + "and not listed: 200000, until a refusal of the service names another number.")
    package static let modelMaxOutputTokens = ConfigurationKey(
        "model.max_output_tokens", .serve, .integer(100...10_000_000),
        "Tokens of one answer at most. An answer also takes no more than the model's list says and a quarter of its context. Left out: 32000 with "
            + "`anthropic`; with `openai` what the service's list says, or no bound.")
    package static let adminKey = ConfigurationKey(
        "admin_key", .serve, .secret,
        "The admin API key, at least 24 bytes. Without it the first start makes one and writes it to `admin.key` in the data folder.")
    package static let leaseSeconds = ConfigurationKey(
        "lease_seconds", .serve, .integer(5...3600), default: "300",
        "How long a work item stays with a worker that no longer sends heartbeats, in seconds.")
    package static let maxEventsPerSession = ConfigurationKey(
        "max_events_per_session", .serve, .integer(100...10_000_000), default: "100000",
        "Events that one session may have. From there on clients can finish the turn that runs (results, confirmations, an interrupt) and add nothing else."
    )
    package static let tunnelDomain = ConfigurationKey(
        "tunnel.domain", .serve, .text,
        "Domain below which tunnels get theirs, such as `tunnel.example.com`: eight characters and a dot before it. Left out: tunnels cannot be created. "
            + "A tunnel keeps the domain that it has when this changes.")
    package static let tunnelEdge = ConfigurationKey(
        "tunnel.edge", .serve, .text,
        "Edge that the server dials for the MCP servers of agents: HOST or HOST:PORT (443). Needs `tunnel.domain`, which its certificate has to name. "
            + "Default: the edge of `with_edge`; without either, such servers are not reached.")
    package static let tunnelEdgeCA = ConfigurationKey(
        "tunnel.edge_ca", .serve, .path,
        "PEM file of the only authorities that this edge's certificate is checked against. Default: the system's.")
    package static let withEdge = ConfigurationKey(
        "with_edge", .serve, .boolean, default: "false",
        "Run an edge beside the server, as a process of its own user, without store and keys. Needs `tunnel.domain`, which is its name, and a "
            + "certificate for that. See docs/tunnels.md.")
    package static let edgeListen = ConfigurationKey(
        "edge.listen", .serve, .text, default: ":443",
        "With an edge: where it listens; without an address, at every one of the machine's, IPv6 and IPv4. Port 0 takes a free one.")
    package static let edgeTLSCertificate = ConfigurationKey(
        "edge.tls_cert", .serve, .path,
        "With an edge: PEM file with the certificate of its name and its chain. Read again when the edge starts again.")
    package static let edgeTLSKey = ConfigurationKey("edge.tls_key", .serve, .path, "With an edge: PEM file with the certificate's key.")
    package static let edgeUser = ConfigurationKey(
        "edge.user", .serve, .integer(1...4_000_000_000), default: "230001",
        "With an edge, of a server that is started as root: the number of the user that the edge becomes. It should be nobody else's. A server that is "
            + "not root runs its edge as the user that it is.")
    package static let edgeMaxConnections = ConfigurationKey(
        "edge.max_connections", .serve, .integer(1...1_000_000), default: "10000",
        "With an edge: connections at once, legs and calls alike. Calls of one workspace may be half of them.")
    package static let edgeMaxConnectionsPerAddress = ConfigurationKey(
        "edge.max_connections_per_address", .serve, .integer(1...1_000_000), default: "1000",
        "With an edge: connections at once of one address (IPv6: of one /64) that have not shown who they are.")
    package static let edgeMaxUnprovedPerAddress = ConfigurationKey(
        "edge.max_unproved_per_address", .serve, .integer(1...1_000_000), default: "32",
        "With an edge: spliced calls at once of one address whose inner TLS handshakes are not through.")
    package static let edgeMaxLegsPerWorkspace = ConfigurationKey(
        "edge.max_legs_per_workspace", .serve, .integer(1...1_000_000),
        "With an edge: legs at once of one workspace. Left out: a quarter of the connections, but at least 64.")
    package static let edgeMaxCallsPerTunnel = ConfigurationKey(
        "edge.max_calls_per_tunnel", .serve, .integer(1...1_000_000), default: "2000",
        "With an edge: calls at once through one tunnel; half of them may be spliced.")
    package static let edgeMaxCallsPerCaller = ConfigurationKey(
        "edge.max_calls_per_caller", .serve, .integer(1...1_000_000), default: "500",
        "With an edge: calls at once through one tunnel of one API key, one session, or one address where calls are spliced.")
    package static let edgeMaxCallsPerSecond = ConfigurationKey(
        "edge.max_calls_per_second", .serve, .integer(1...1_000_000), default: "1000",
        "With an edge: new calls a second through one tunnel, over a burst of twice as many; half of them may be spliced.")
    package static let edgeMaxBytesPerSecond = ConfigurationKey(
        "edge.max_bytes_per_second", .serve, .integer(0...1_000_000_000_000), default: "0",
        "With an edge: bytes a second through one tunnel, both ways together, at least 1024; 0 is no bound.")
    package static let edgeMaxIdleSeconds = ConfigurationKey(
        "edge.max_idle_seconds", .serve, .seconds(10...86_400), default: "900",
        "With an edge: seconds without a byte after which a call is ended.")
    package static let edgeLegProof = ConfigurationKey(
        "edge.leg_proof", .serve, .choice(["certificate", "challenge"]), default: "certificate",
        "With an edge: how connectors prove their keys: by the client certificate of TLS, or also by a signed challenge, where something ends TLS in front of the edge."
    )
    package static let edgeLegTerminators = ConfigurationKey(
        "edge.leg_terminators", .serve, .path,
        "With an edge that takes challenges: PEM file with the certificates that whatever ends TLS shows to connectors. Left out: any that connectors believe."
    )
    package static let edgeMetricsListen = ConfigurationKey(
        "edge.metrics_listen", .serve, .text,
        "With an edge: where its `GET /metrics` is answered, an address and port of loopback such as 127.0.0.1:9465. Left out: nowhere. See docs/metrics.md."
    )
    package static let serveLogFormat = ConfigurationKey(
        "log.format", .serve, .choice(["text", "json"]), default: "text", "How log lines look on standard error.")
    package static let serveLogLevel = ConfigurationKey(
        "log.level", .serve, .choice(["trace", "debug", "info", "notice", "warning", "error"]), default: "info",
        "The least important lines that are written.")

    // MARK: worker

    package static let environmentID = ConfigurationKey(
        "environment_id", .worker, .text, aliases: ["ANTHROPIC_ENVIRONMENT_ID"], "The environment whose queue is served (`env_…`).")
    package static let environmentName = ConfigurationKey(
        "environment_name", .worker, .text,
        "What `match.environments` of policies calls this environment, beside its id. The name at the control plane is not looked at. A launcher's "
            + "script gets it.")
    package static let environmentKey = ConfigurationKey(
        "environment_key", .worker, .secret, aliases: ["ANTHROPIC_ENVIRONMENT_KEY"],
        "The environment's key. Read once and taken out of the environment at once; nothing that runs in a sandbox can see it.")
    package static let environmentKeyFile = ConfigurationKey(
        "environment_key_file", .worker, .path, "File that holds the environment's key, alone on its first line. Comes before the variable.")
    package static let baseURL = ConfigurationKey(
        "base_url", .worker, .url, default: "https://api.anthropic.com", aliases: ["ANTHROPIC_BASE_URL"],
        "The control plane. Plain HTTP works on loopback only.")
    package static let workerID = ConfigurationKey(
        "worker_id", .worker, .text, aliases: ["ANTHROPIC_WORKER_ID"],
        "Name of this worker in the queue's statistics. Default: the host's name and an id that is kept in the state folder.")
    package static let workdir = ConfigurationKey(
        "workdir", .worker, .path, default: "postern-work", "Folder of the sessions' workspaces, one below it for each session.")
    package static let stateDirectory = ConfigurationKey(
        "state_dir", .worker, .path,
        "Folder of the worker's own files: its id, journals, audit log and offloaded outputs. Default: `.postern` in the work folder.")
    package static let workspaceSource = ConfigurationKey(
        "workspace_source", .worker, .path, "Folder that is copied into each new session's workspace. Left out: workspaces start empty.")
    package static let sharedWorkspace = ConfigurationKey(
        "shared_workspace", .worker, .path,
        "One folder that every session works in, as the official worker does. Sessions then see each other's files, and one that swaps files while "
            + "another starts makes that start fail.")
    package static let workspaceMode = ConfigurationKey(
        "workspace_mode", .worker, .choice(["rw", "cow", "ro"]), default: "rw",
        "The most that sessions may do with their workspaces, whatever policies say: `rw` leaves it to them, `cow` keeps changes beside the workspace until "
            + "`postern sandbox workspace apply`, `ro` allows none.")
    package static let maxSessions = ConfigurationKey(
        "max_sessions", .worker, .integer(1...10_000), default: "64", "Sessions served at once. A worker that is full does not poll.")
    package static let maxIdle = ConfigurationKey(
        "max_idle", .worker, .seconds(0...86_400), default: "60",
        "Seconds after the end of a turn until a session is given back to the queue; 0 keeps it.")
    package static let sandbox = ConfigurationKey(
        "sandbox", .worker, .choice(["bubblewrap", "none"]), default: "bubblewrap",
        "What confines the tools. `none` lets them see the whole machine, as the worker's user or, where root started it, as a user of each session: for machines that are a sandbox themselves."
    )
    package static let policy = ConfigurationKey(
        "policy", .worker, .path,
        "A policy (YAML or JSON), or a folder of them: what sessions may do at most. The first that matches a session holds; without one, the profile "
            + "`strict` does. See docs/policy.md; `postern sandbox policy check` reads them as the worker does.")
    package static let workerUser = ConfigurationKey(
        "user", .worker, .text,
        "Whom a worker that is started as root goes on as, once its spawner runs: an account or a number. `root` keeps it root, which is a layer less. "
            + "Default: the account `postern` if there is one, else number 230000.")
    package static let requireAllLayers = ConfigurationKey(
        "require_all_layers", .worker, .boolean, default: "false",
        "Refuse to start where a layer of the sandbox is missing, instead of saying so and going on with the others.")
    package static let approvalTimeout = ConfigurationKey(
        "approval_timeout", .worker, .seconds(1...86_400), default: "600",
        "Seconds that a call waits for `postern worker approve` where the policy asks for it; then it is refused.")
    package static let auditMirror = ConfigurationKey(
        "audit_mirror", .worker, .path,
        "Folder, best on another machine's file system, that gets a copy of each checkpoint of the audit log, so that rewriting it shows.")
    package static let metricsListen = ConfigurationKey(
        "metrics_listen", .worker, .text,
        "`worker poll` only: where the worker answers `GET /metrics` in Prometheus's format. An address and port of loopback, such as "
            + "127.0.0.1:9464, or the absolute path of a unix socket. Left out: nowhere. See docs/metrics.md.")
    package static let onWork = ConfigurationKey(
        "on_work", .worker, .path,
        "`worker poll` only: a script that starts a worker somewhere else for each claimed item, instead of a sandbox here. It gets the work as JSON on "
            + "standard input and the item's own secret in ANTHROPIC_WORK_SECRET. See docs/launchers.md.")
    package static let onWorkCompat = ConfigurationKey(
        "on_work_compat", .worker, .boolean, default: "false",
        "Give the script of `on_work` the environment key as well, as the official worker does. Whoever has that key has the whole queue.")
    package static let onWorkTimeout = ConfigurationKey(
        "on_work_timeout", .worker, .seconds(0...86_400), default: "0", "Seconds after which a script of `on_work` is ended; 0 is no limit.")
    package static let onWorkGrace = ConfigurationKey(
        "on_work_grace", .worker, .seconds(1...3600), default: "60",
        "Seconds after the end of a script of `on_work` until the worker that it started must have taken the item over.")
    package static let proxy = ConfigurationKey(
        "proxy", .worker, .text, aliases: ["HTTPS_PROXY", "https_proxy"],
        "HTTP proxy that outgoing connections pass by CONNECT: `http://[user:password@]host:port`.")
    package static let caFile = ConfigurationKey("ca_file", .worker, .path, "PEM file of certificate authorities to trust beside the system's own.")
    package static let offloadThreshold = ConfigurationKey(
        "offload_threshold", .worker, .integer(1_000...400_000), default: "100000",
        "Characters (about a quarter of that in tokens) above which a tool's output goes to a file in the sandbox and the model gets a preview.")
    package static let sessionID = ConfigurationKey(
        "session_id", .worker, .text, aliases: ["ANTHROPIC_SESSION_ID"], "`worker run` only: the session of the claimed item.")
    package static let workID = ConfigurationKey(
        "work_id", .worker, .text, aliases: ["ANTHROPIC_WORK_ID"], "`worker run` only: the claimed item.")
    package static let workSecret = ConfigurationKey(
        "work_secret", .worker, .secret, aliases: ["ANTHROPIC_WORK_SECRET"],
        "`worker run` only: the item's own secret, from the poll's answer. With it, a worker needs no environment key.")
    package static let workPolicy = ConfigurationKey(
        "work_policy", .worker, .text, aliases: ["ANTHROPIC_WORK_POLICY"],
        "`worker run` only: what the item's environment asks for under `postern.policy`, from the poll's header `Postern-Policy`. It only narrows.")
    package static let workerLogFormat = ConfigurationKey(
        "log.format", .worker, .choice(["text", "json"]), default: "text", "How log lines look on standard error.")
    package static let workerLogLevel = ConfigurationKey(
        "log.level", .worker, .choice(["trace", "debug", "info", "notice", "warning", "error"]), default: "info",
        "The least important lines that are written.")

    // MARK: client

    package static let clientBaseURL = ConfigurationKey(
        "base_url", .client, .url, default: "http://127.0.0.1:8400", "The control plane that the commands talk to.")
    package static let clientAPIKey = ConfigurationKey(
        "api_key", .client, .secret, "The API key of the commands.")
    package static let clientAPIKeyFile = ConfigurationKey(
        "api_key_file", .client, .path, "File that holds the API key, alone on its first line; for example `admin.key` of the data folder.")
    package static let clientCAFile = ConfigurationKey(
        "ca_file", .client, .path, "PEM file of certificate authorities to trust beside the system's own.")
    package static let clientProxy = ConfigurationKey(
        "proxy", .client, .text, aliases: ["HTTPS_PROXY", "https_proxy"],
        "HTTP proxy that the commands pass by CONNECT: `http://[user:password@]host:port`. Loopback is dialled directly.")

    /// In the order of the reference page.
    package static let all: [ConfigurationKey] = [
        .listen, .data, .tlsCertificate, .tlsKey, .modelProvider, .modelBaseURL, .modelAPIKeyFile, .modelAPIKey, .modelCAFile,
        .modelContextTokens, .modelMaxOutputTokens, .adminKey, .leaseSeconds, .maxEventsPerSession, .tunnelDomain,
        .tunnelEdge, .tunnelEdgeCA,
        .withEdge, .edgeListen, .edgeTLSCertificate, .edgeTLSKey, .edgeUser,
        .edgeMaxConnections, .edgeMaxConnectionsPerAddress, .edgeMaxUnprovedPerAddress, .edgeMaxLegsPerWorkspace, .edgeMaxCallsPerTunnel,
        .edgeMaxCallsPerCaller, .edgeMaxCallsPerSecond, .edgeMaxBytesPerSecond, .edgeMaxIdleSeconds, .edgeLegProof, .edgeLegTerminators,
        .edgeMetricsListen,
        .serveLogFormat, .serveLogLevel,
        .environmentID, .environmentName, .environmentKeyFile, .environmentKey, .baseURL, .workerID, .workdir, .stateDirectory, .workspaceSource,
        .sharedWorkspace, .workspaceMode,
        .maxSessions,
        .maxIdle,
        .sandbox, .workerUser, .policy, .requireAllLayers, .approvalTimeout, .auditMirror, .metricsListen, .offloadThreshold, .onWork, .onWorkCompat,
        .onWorkTimeout, .onWorkGrace,
        .proxy,
        .caFile, .sessionID, .workID, .workSecret, .workPolicy, .workerLogFormat, .workerLogLevel,
        .clientBaseURL, .clientAPIKey, .clientAPIKeyFile, .clientCAFile, .clientProxy,
    ]
}
