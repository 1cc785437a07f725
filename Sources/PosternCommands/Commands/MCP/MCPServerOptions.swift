import ArgumentParser
import ManagedAgentsClient
import PosternMCP

/// A revision on the command line: `--revision 2025-11-25`.
extension Revision: ExpressibleByArgument {}

/// Seconds on the command line, with or without a unit: `90`, `90s`, `5m`, `2h`.
struct SecondsArgument: ExpressibleByArgument {
    static let range = 1...86_400
    var duration: Duration

    init(seconds: Int) { duration = .seconds(seconds) }

    init?(argument: String) {
        guard let seconds = ConfigurationKey.Kind.seconds(Self.range).number(in: argument), Self.range.contains(seconds) else { return nil }
        self.init(seconds: seconds)
    }

    var defaultValueDescription: String { "\(duration.components.seconds)s" }
}

/// Which MCP server, how it is reached, and with what.
struct MCPServerOptions: ParsableArguments, SettingFlags {
    @Flag(name: .long, help: "Start the server, which speaks over standard input and output; its command follows after --.")
    var stdio = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Give the started server this variable of mine. It gets HOME, LANG, LOGNAME, PATH, SHELL, TERM and USER, and no others. May be repeated.",
            valueName: "name"))
    var passEnv: [String] = []

    @Option(name: .long, help: "File whose first line is a bearer token.")
    var bearerFile: String?

    @Option(name: .long, help: "File of further header fields, one `Name: value` a line.")
    var headerFile: String?

    @Option(name: .long, help: "PEM file of the certificate authorities to trust, in place of the system's.")
    var caFile: String?

    @Option(name: .long, help: "PEM file of a client certificate with its chain, for a tunnel or a server that asks for one.")
    var clientCert: String?

    @Option(name: .long, help: "PEM file of the client certificate's key.")
    var clientKey: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Connect to this address whatever the URL's name leads to, such as the edge of a tunnel; the name is still what is asked for and checked.",
            valueName: "host[:port]"))
    var connectTo: String?

    @OptionGroup(title: "Through a tunnel") var tunnel: MCPTunnelOptions

    @OptionGroup(title: "Tokens by OAuth") var oauth: MCPOAuthOptions

    @Option(.clientProxy) var proxy: String?

    @Flag(name: .long, help: "Speak plain HTTP beyond loopback too: tokens and data cross the network in the clear.")
    var allowHTTP = false

    @Option(name: .long, help: "The only revision to speak; otherwise it is found out.")
    var revision: Revision?

    @Option(name: .long, help: ArgumentHelp("The longest without an answer or word of progress.", valueName: "seconds"))
    var timeout = SecondsArgument(seconds: 60)

    @Option(name: .long, help: ArgumentHelp("The longest in all, with progress.", valueName: "seconds"))
    var maxTime = SecondsArgument(seconds: 3600)

    @Option(name: .long, help: "The largest message of the server.")
    var maxMessageBytes = 16 << 20

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    @Argument(parsing: .postTerminator, help: "With --stdio: the server's command and its arguments.")
    var command: [String] = []

    var given: [(ConfigurationKey, String?)] { [(.clientProxy, proxy)] }

    func validate() throws {
        guard stdio == !command.isEmpty else {
            throw ValidationError(
                stdio ? "what is the server's command? Write it after --" : "a command after -- is for --stdio; without it give the server's URL")
        }
        if stdio {
            let other =
                [bearerFile, headerFile, caFile, clientCert, clientKey, connectTo].contains { $0 != nil } || allowHTTP || tunnel.isGiven
                || oauth.isGiven
            guard !other else {
                throw ValidationError(
                    "files of tokens, fields and certificates, --connect-to, --certificate, --oauth-issuer and --allow-http are for a URL, not for --stdio"
                )
            }
        } else {
            guard passEnv.isEmpty else { throw ValidationError("--pass-env goes with --stdio") }
        }
        if tunnel.isGiven {
            // A proxy is for the authorization server then.
            guard [caFile, clientCert, clientKey, connectTo, oauth.isGiven ? nil : proxy].allSatisfy({ $0 == nil }) else {
                throw ValidationError(
                    "--certificate brings its own certificate, authorities and way: leave out --ca-file, --client-cert, --client-key, --connect-to "
                        + "and --proxy")
            }
        }
        guard !oauth.isGiven || bearerFile == nil else { throw ValidationError("--bearer-file and --oauth-issuer are two of a kind; give one") }
        guard (clientCert == nil) == (clientKey == nil) else { throw ValidationError("--client-cert and --client-key go together") }
        guard (1024...(1 << 30)).contains(maxMessageBytes) else { throw ValidationError("--max-message-bytes must be from 1024 to \(1 << 30)") }
    }

    /// The URL among what else stands on the command line: the first of `words`, unless the server is started.
    func url(_ words: inout [String]) throws -> String? {
        if stdio { return nil }
        guard !words.isEmpty else { throw ValidationError("which server? Give its URL, or --stdio and its command after --") }
        return words.removeFirst()
    }
}
