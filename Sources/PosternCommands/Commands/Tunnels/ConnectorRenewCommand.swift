import ArgumentParser
import FoundationEssentials
import PosternJSON

/// `postern connector renew`
struct ConnectorRenewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew", abstract: "Renew a connector's server certificate when it ends soon; to be run daily.",
        discussion: """
            Makes a new key and certificate for 90 days, signed by the tunnel's CA, when the present one ends within --renew-before or does not keep the
            rules any more; else it changes nothing. It talks to nobody: no API key is needed. A running connector takes the new pair over by itself.

            With a PKI of your own there is no ca.key: then it only says how many days are left. The exit status is 0 while all is well or was renewed, and
            5 when the certificate is due and cannot be renewed here; `postern connector setup --csr` begins its renewal.

            Example: postern connector renew --config tunnel/connector.yaml
                     postern connector renew --config tunnel/connector.yaml --ca-key-file /mnt/offline/ca.key
            """)

    @Option(name: .long, help: "The connector's YAML document.")
    var config: String

    @Option(name: .long, help: "From how long before its end the certificate is renewed, as 30d or 720h: up to 89 days.")
    var renewBefore = RenewalWindow(days: 30)

    @Option(name: .customLong("ca-file"), help: "The tunnel's CA certificate; ca.pem beside the document where it is not given.")
    var authorityFile: String?

    @Option(name: .customLong("ca-key-file"), help: "The CA's key, mode 0600; ca.key beside the document where it is not given.")
    var authorityKeyFile: String?

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    func run() async throws {
        let renewal = try ServerRenewal(config: config, authorityFile: authorityFile, authorityKeyFile: authorityKeyFile, before: renewBefore.seconds)
        let outcome = try renewal.run(now: Date())
        let terminal = Terminal()
        if json { terminal.print(JSON.object(outcome.json).indented) } else if outcome.isGood { terminal.print(outcome.sentence) }
        guard outcome.isGood else {
            if !json { terminal.complain(outcome.sentence) }
            throw CommandStatus.checkFailed.code
        }
    }
}

/// A time before the end of a certificate: `30d`, `720h`.
struct RenewalWindow: ExpressibleByArgument {
    let seconds: Double

    init(days: Int) { seconds = Double(days) * 86_400 }

    /// Shorter than the life of what is renewed, or each run would renew.
    init?(argument: String) {
        guard let unit = argument.last, let factor = ["h": 3600, "d": 86_400][unit], let count = Int(argument.dropLast()),
            (1...89 * 86_400 / factor).contains(count)
        else { return nil }
        seconds = Double(count * factor)
    }

    var defaultValueDescription: String { "\(Int(seconds / 86_400))d" }
}
