import Testing

@testable import PosternCommands

@Suite struct ConfigurationTests {
    @Test func oneNameHasThreeSpellings() {
        #expect(ConfigurationKey.modelBaseURL.flag == "model-base-url")
        #expect(ConfigurationKey.modelBaseURL.variable == "POSTERN_MODEL_BASE_URL")
        #expect(ConfigurationKey.modelBaseURL.name == "model.base_url")
    }

    @Test func spellingsAreUniqueInASection() {
        for section in ConfigurationKey.Section.allCases {
            let keys = ConfigurationKey.all.filter { $0.section == section }
            #expect(Set(keys.map(\.flag)).count == keys.count)
            let variables: [String] = keys.flatMap { [$0.variable] + $0.aliases }
            #expect(Set(variables).count == variables.count)
        }
    }

    @Test func everyDefaultPassesItsOwnCheck() {
        for key in ConfigurationKey.all { if let fallback = key.fallback { #expect(key.kind.problem(with: fallback) == nil, "\(key.name)") } }
    }

    @Test func aFlagComesBeforeTheEnvironmentTheFileAndTheDefault() throws {
        let file = try ConfigurationFile("lease_seconds: 40", name: "p.yaml", section: .serve)
        let variable = ["POSTERN_LEASE_SECONDS": "30"]
        func setting(_ flags: [String: String], _ environment: [String: String], _ file: ConfigurationFile?) throws -> Configuration.Setting? {
            try Configuration(.serve, flags: flags, environment: environment, file: file).setting(.leaseSeconds)
        }
        #expect(try setting(["lease_seconds": "20"], variable, file) == .init(text: "20", source: "--lease-seconds"))
        #expect(try setting([:], variable, file) == .init(text: "30", source: "POSTERN_LEASE_SECONDS"))
        #expect(try setting([:], [:], file) == .init(text: "40", source: "p.yaml:1:16"))
        #expect(try setting([:], [:], nil) == .init(text: "300", source: "default"))
        #expect(try setting([:], ["POSTERN_LEASE_SECONDS": ""], file)?.text == "40", "an empty variable counts as not set")
    }

    @Test func theOfficialWorkersVariablesAreRead() throws {
        let environment = ["ANTHROPIC_ENVIRONMENT_ID": "env_a", "ANTHROPIC_ENVIRONMENT_KEY": "k", "ANTHROPIC_BASE_URL": "https://a.example"]
        let configuration = try Configuration(.worker, flags: [:], environment: environment)
        #expect(configuration.text(.environmentID) == "env_a")
        #expect(configuration.text(.environmentKey) == "k")
        #expect(configuration.text(.baseURL) == "https://a.example")
        let own = try Configuration(.worker, flags: [:], environment: environment.merging(["POSTERN_ENVIRONMENT_ID": "env_p"]) { $1 })
        #expect(own.text(.environmentID) == "env_p", "our own spelling comes first")
    }

    @Test func theClientsKeyIsNotSentToAnAddressMeantForAnotherService() throws {
        let configuration = try Configuration(.client, flags: [:], environment: ["ANTHROPIC_BASE_URL": "https://elsewhere.example"])
        #expect(configuration.text(.clientBaseURL) == "http://127.0.0.1:8400")
    }

    @Test(arguments: [
        ("lease_seconds", "4", "--lease-seconds must be a whole number from 5 to 3600"),
        ("lease_seconds", "x", "--lease-seconds must be a whole number from 5 to 3600"),
        ("model.provider", "gemini", "--model-provider must be one of anthropic, openai"),
        ("model.base_url", "ftp://x", "--model-base-url must start with http:// or https://"),
        ("model.base_url", "https://u:p@x", "--model-base-url must not carry a user name or password"),
    ])
    func badFlagsAreNamed(key: String, value: String, message: String) {
        #expect(throws: ConfigurationError(message)) { try Configuration(.serve, flags: [key: value], environment: [:]) }
    }

    @Test func everyProblemIsReportedAndNoValueIsRepeated() {
        do {
            _ = try Configuration(.serve, flags: ["lease_seconds": "hunter2"], environment: ["POSTERN_MODEL_PROVIDER": "hunter2"])
            Issue.record("accepted")
        } catch {
            #expect(error.problems.count == 2)
            #expect(!"\(error)".contains("hunter2"))
        }
    }

    @Test func misspeltVariablesAreWarnedOf() throws {
        let configuration = try Configuration(
            .serve, flags: [:], environment: ["POSTERN_LISTN": "x", "POSTERN_BUILD_CONFIGURATION": "debug", "PATH": "/"])
        #expect(configuration.warnings == ["unknown variable POSTERN_LISTN; did you mean POSTERN_LISTEN?"])
    }

    @Test func aMissingSettingNamesItsSpellings() throws {
        let configuration = try Configuration(.worker, flags: [:], environment: [:])
        #expect(
            throws: ConfigurationError("environment_id is missing: give --environment-id, or set POSTERN_ENVIRONMENT_ID or ANTHROPIC_ENVIRONMENT_ID")
        ) {
            try configuration.required(.environmentID)
        }
        #expect(throws: ConfigurationError("environment_key is missing: set POSTERN_ENVIRONMENT_KEY or ANTHROPIC_ENVIRONMENT_KEY")) {
            try configuration.required(.environmentKey)
        }
    }

    @Test(arguments: [("127.0.0.1:8400", true), ("localhost:0", true), ("[::1]:80", true), ("0.0.0.0:8400", false), ("127.0.0.1.example:1", false)])
    func loopbackIsKnown(text: String, isLoopback: Bool) throws {
        #expect(try ListenAddress(text).isLoopback == isLoopback)
    }

    @Test(arguments: ["", "127.0.0.1", ":8400", "host:", "host:99999", "host:-1", "::1:80", "[]:80"])
    func badAddressesAreRefused(text: String) {
        #expect(throws: ConfigurationError.self) { try ListenAddress(text) }
    }

    @Test func anEdgesAddressMayBeLeftOut() throws {
        let address = try ListenAddress(":443", takesAll: true)
        #expect(address.host.isEmpty && address.port == 443 && !address.isLoopback && address.description == ":443")
        #expect(address.bindHosts == ["::", "0.0.0.0"] && address.url(scheme: "https", port: 1) == "https://*:1")
        for text in ["", "443", ":", "[]:80", "::1:80", ":99999"] {
            #expect(throws: ConfigurationError.self, "\(text)") { try ListenAddress(text, takesAll: true) }
        }
    }
}
