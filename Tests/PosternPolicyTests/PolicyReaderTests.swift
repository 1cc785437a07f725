import Testing

@testable import PosternPolicy

/// What `text` is refused for, without the file's name.
func policyProblems(_ text: String, reader: PolicyReader = PolicyReader()) -> [String] {
    do {
        _ = try reader.read(text, file: "p.yaml")
        return []
    } catch {
        return error.problems.map { "\($0)".replacing("p.yaml:", with: "").replacing("error: ", with: "") }
    }
}

func readPolicy(_ text: String, reader: PolicyReader = PolicyReader()) throws -> Policy { try reader.read(text, file: "p.yaml").policy }

@Suite struct PolicyReaderTests {
    /// Addresses that are dialled, and those that a rule keeps in, are no mistakes.
    @Test func rulesMayNameAddressesThatAreDialled() throws {
        for text in [
            "{rules: [{hosts: 8.8.8.8}]}", "{addresses: 10.0.0.0/8, rules: [{hosts: 10.1.2.3}]}",
            "{rules: [{hosts: [169.254.169.254, 10.1.2.3], verdict: deny}]}",
        ] { _ = try PolicyReader().read("version: 1\nname: p\nnetwork: \(text)\n", file: "p.yaml") }
    }

    @Test(arguments: Profile.allCases) func profilesAreWithoutProblems(profile: Profile) throws {
        let document = try PolicyText.read("{version: 1, extends: \(profile.rawValue)}", file: "p.yaml")
        let (loaded, problems) = PolicyReader().assemble(document, file: "p.yaml")
        #expect(problems == [])
        #expect(loaded.policy.profile == profile)
        var own = PolicyReader.profile(profile).policy
        own.name = "p"
        #expect(loaded.policy == own)
        #expect(loaded.policy.network == NetworkPolicy(budgets: loaded.policy.network.budgets))
        #expect(loaded.policy.limits.memory != nil)
    }

    @Test func anEmptyPolicyIsStrict() throws {
        let policy = try readPolicy("version: 1\n")
        var strict = PolicyReader.profile(.strict).policy
        strict.name = "p"
        #expect(policy == strict)
    }

    @Test func everySectionIsRead() throws {
        let policy = try readPolicy(examplePolicy)
        #expect(policy.name == "data team")
        #expect(policy.files.read.map(\.description) == ["/srv/data"])
        #expect(policy.files.write.map(\.description) == ["/srv/out"])
        #expect(policy.network.rules.map(\.id) == ["api", "no-admin", "tunnel"])
        #expect(policy.network.rules[0].ports == [443, 8443])
        #expect(policy.secrets.map(\.name) == ["database", "github"])
        #expect(policy.secret("github")?.source == .file(path: "/etc/keys/github"))
        #expect(policy.forwards.first?.target.description == "db.internal:5432")
        #expect(policy.limits.memory == 512 << 20)
        #expect(policy.limits.cpu == 150)
        #expect(policy.limits.callTime == 30_000)
        #expect(policy.limits.io == nil)
        #expect(policy.limits.processes == 512)
        #expect(policy.network.budgets.call == 1 << 20)
        #expect(policy.network.budgets.day == nil)
        #expect(policy.network.budgets.session == 200 << 20)
        #expect(policy.variables == ["LANG": "C.UTF-8"])
        #expect(policy.workspace == .cow)
        #expect(policy.requiresAllLayers)
        #expect(policy.redaction.detectors["email"] == .hash)
        #expect(policy.redaction.detectors["jwt"] == nil)
    }

    @Test func jsonIsRead() throws {
        let policy = try readPolicy(#"{"version": 1, "limits": {"memory": 134217728}, "network": {"rules": [{"hosts": ["A.example.COM."]}]}}"#)
        #expect(policy.limits.memory == 128 << 20)
        #expect(policy.network.rules.first?.hosts.map(\.description) == ["a.example.com"])
        #expect(policy.network.rules.first?.id == "rule-1")
    }

    @Test(arguments: [
        ("", "1:1: version: must be given; add version: 1"),
        ("version: 2\n", #"1:10: version: "2" must be from 1 to 1"#),
        ("version: 1\nlimts: {}\n", #"2:1: limts: is no known key; did you mean "limits"?"#),
        ("version: 1\nzebras: {}\n", "2:1: zebras: is no known key; known here are "),
        ("version: 1\nlimits:\n  memory: 512\n", #"3:11: limits.memory: "512" must be from 64MiB to 64TiB"#),
        ("version: 1\nlimits:\n  memory: lots\n", #"3:11: limits.memory: "lots" must be bytes with a unit, 64MiB to 64TiB; write such as 512MiB"#),
        ("version: 1\nlimits:\n  memory: 512 MiB\n", #"3:11: limits.memory: "512 MiB" must be bytes with a unit"#),
        ("version: 1\nlimits:\n  memory: 9223372036854775807TiB\n", "3:11: limits.memory: "),
        ("version: 1\nlimits:\n  cpu: 150\n", #"3:8: limits.cpu: "150" must be percent, 1% to 100000%; write such as 150%"#),
        ("version: 1\nlimits:\n  call_time: 30\n", #"3:14: limits.call_time: "30" must be time with a unit"#),
        ("version: 1\nlimits:\n", "2:8: limits: must be a mapping, not nothing"),
        ("version: 1\nname: 1.10\n", #"2:7: name: "1.1" must be text (text), not a number; put it in quotes"#),
        ("version: 1\nextends: strickt\n", #"2:10: extends: "strickt" must be one of strict, build, offline; did you mean "strict"?"#),
        ("version: 1\nrequire_all_layers: yes\n", #"2:21: require_all_layers: "yes" must be true or false, not text"#),
        ("version: 1\nfiles: {read: [data]}\n", #"2:16: files.read[0]: "data" must be an absolute path"#),
        (
            "version: 1\nfiles: {read: [/srv/../etc]}\n",
            #"2:16: files.read[0]: "/srv/../etc" must hold no . and no ..; write the path that it leads to"#
        ),
        ("version: 1\nfiles: {read: [/]}\n", #"2:16: files.read[0]: "/" is the whole host; name the folders that are needed"#),
        ("version: 1\nfiles: {write: [/proc/sys]}\n", #"2:17: files.write[0]: "/proc/sys" is denied: no policy can open /proc; leave it out"#),
        ("version: 1\nfiles: {read: [/srv/app/docker.sock]}\n", "no policy can open **/docker.sock"),
        ("version: 1\nfiles: {read: [/home/me/.ssh]}\n", #"is hidden by the pattern **/.ssh; leave it out, or take the pattern out with "!**/.ssh""#),
        ("version: 1\nfiles: {read: [/a/b], write: [/a]}\n", "stands in /a, which is writable; put it under files.protected"),
        ("version: 1\nfiles: {read: [/a, /a]}\n", "stands in the list twice"),
        ("version: 1\nfiles: {hidden: [\"*.{key,pem}\"]}\n", "must hold no brackets, braces and backslashes; write one pattern for each case"),
        ("version: 1\nfiles: {hidden: [\"!**/.shh\"]}\n", #"takes out an entry that the profile does not have; did you mean "**/.ssh"?"#),
        ("version: 1\nfiles: {hidden: [\"**\"]}\n", "means everything"),
        ("version: 1\nnetwork: {rules: [{hosts: [\"*\"]}]}\n", #"2:28: network.rules[0].hosts[0]: "*" a pattern must name a host"#),
        ("version: 1\nnetwork: {rules: [{hosts: a.example, methods: get}]}\n", #"methods[0]: "get" must be a method in upper-case letters"#),
        ("version: 1\nnetwork: {rules: [{hosts: a.example, credential: nobody}]}\n", #"credential: "nobody" is no secret of this policy; define it"#),
        (
            "version: 1\nsecrets: {key: {from: {credential: cred_1}, hosts: a.example}}\n",
            "2:24: secrets.key.from.credential: names a vault credential of the control plane, and no API gives its value out"
        ),
        ("version: 1\nnetwork: {rules: [{id: a, hosts: a.example}, {id: a, hosts: b.example}]}\n", #"rules[1].id: "a" is the id of two rules"#),
        ("version: 1\nnetwork: {rules: [{hosts: a.example, opaque: true}]}\n", "rules[0].max_sent: an opaque host needs a bound"),
        ("version: 1\nnetwork: {addresses: 169.254.169.254}\n", "and no policy can open it"),
        (
            "version: 1\nnetwork: {rules: [{hosts: 169.254.169.254}]}\n",
            #"2:27: network.rules[0].hosts[0]: "169.254.169.254" is the metadata service of a cloud"#
        ),
        (
            "version: 1\nnetwork: {addresses: 0.0.0.0/0, rules: [{hosts: [a.example, \"0xA9FEA9FE:80\"]}]}\n",
            #"network.rules[0].hosts[1]: "169.254.169.254:80" is the metadata service of a cloud"#
        ),
        ("version: 1\nnetwork: {rules: [{hosts: \"[64:ff9b::a9fe:a9fe]\"}]}\n", "and no policy can open it; take it out"),
        (
            "version: 1\nnetwork: {rules: [{hosts: 10.1.2.3}]}\n",
            "is a private address, which no rule alone opens; name 10.1.2.3 or its block under network.addresses too"
        ),
        ("version: 1\nnetwork: {registries: [pypi.org]}\n", "network.registries: is for policies that extend build"),
        ("version: 1\nextends: offline\nnetwork: {rules: [{hosts: a.example}]}\n", "network.rules: opens the network of an offline policy"),
        ("version: 1\nextends: offline\nforwards: [{name: a, listen: 9, to: \"a.example:9\", max_sent: 1MiB}]\n", "forwards: opens the network"),
        ("version: 1\nforwards: [{name: a, listen: 9, to: \"a.example:9\"}]\n", "forwards[0].max_sent: must be given"),
        ("version: 1\nforwards: [{name: a, listen: 443, to: \"a.example:9\", max_sent: 1MiB}]\n", #"listen: "443" is a port that something else"#),
        ("version: 1\nvariables: {ANTHROPIC_API_KEY: x}\n", #"variables.ANTHROPIC_API_KEY: "ANTHROPIC_API_KEY" begins with ANTHROPIC_"#),
        ("version: 1\nvariables: {postern_x: x}\n", "begins with POSTERN_"),
        ("version: 1\nvariables: {LD_PRELOAD: x}\n", "makes programs load other code"),
        ("version: 1\nvariables: {https_proxy: x}\n", "is set by Postern"),
        ("version: 1\nsecrets: {a: {from: {file: /k, variable: K}}}\n", "secrets.a.from: "),
        ("version: 1\nsecrets: {a: {from: {}}}\n", "names 0 sources"),
        ("version: 1\nsecrets: {a: {from: {variable: K}, header: x-key}}\n", "says where in a request a secret goes, and no host is named"),
        ("version: 1\nfiles: {read: [/srv]}\nsecrets: {a: {from: {file: /srv/key}, hosts: a.example}}\n", "is a file that the sandbox can read"),
        (
            "version: 1\nsecrets: {a: {from: {vault: {address: \"http://v.internal\", path: x, field: y, token_file: /t}}, hosts: a.example}}\n",
            "would send the token unencrypted"
        ),
        ("version: 1\ntools: {ask: [{tool: bash, when: {command: x}}]}\n", "must be a JSON pointer"),
        ("version: 1\ntools: {allow: [\"a\\\\b\"]}\n", "has a backslash before"),
        ("version: 1\nredaction: {detectors: {e-mail: mask}}\n", #"is no detector; did you mean "email"?"#),
        ("- a\n", "1:1: must be a mapping, not a list"),
    ])
    func problemsNamePlaceFieldValueRuleAndRemedy(text: String, message: String) {
        let problems = policyProblems(text)
        #expect(problems.contains { $0.contains(message) }, "\(problems)")
        #expect(problems.count <= 2, "\(problems)")
    }

    @Test func allProblemsAreReportedInTheirOrder() {
        let problems = policyProblems(
            """
            version: 1
            nmae: x
            limits: {memory: 1, processes: two}
            network:
              rules:
                - hosts: ["*.com"]
                - {hosts: good.example, methods: [GET, put]}
            """)
        #expect(problems.map { $0.prefix { $0 != " " } } == ["2:1:", "3:18:", "3:32:", "6:15:", "7:44:"], "\(problems)")
    }

    @Test func entriesOfTheProfileAreTakenOut() throws {
        let policy = try readPolicy("version: 1\nfiles: {hidden: [\"!**/.env\", \"**/*.pem\"]}\n")
        let texts = policy.files.hidden.map(\.description)
        #expect(!texts.contains("**/.env") && texts.contains("**/.ssh") && texts.last == "**/*.pem")
    }

    @Test func whatTheProfileSaysAlreadyMayBeSaidAgain() { #expect(policyProblems("version: 1\nfiles: {hidden: [\"**/.ssh\"]}\n") == []) }

    @Test func registriesBecomeOneRuleThatReads() throws {
        let policy = try readPolicy("version: 1\nextends: build\nnetwork: {registries: [pypi.org, files.pythonhosted.org]}\n")
        let rule = try #require(policy.network.rules.first)
        #expect(rule.id == "registries" && rule.methods == ["GET", "HEAD"] && rule.ports == [443] && rule.hosts.count == 2)
    }

    @Test func patternsAreHeldAgainstTheGatesSyntax() {
        let reader = PolicyReader(patternProblem: { $0 == "(" ? "is not closed" : nil })
        let text = "version: 1\nredaction: {patterns: [{name: a, pattern: \"(\"}, {name: b, pattern: x}]}\n"
        #expect(policyProblems(text, reader: reader).first?.hasSuffix(#"redaction.patterns[0].pattern: "(" is not closed"#) == true)
    }

    @Test func theWorkersOwnPathsAreDenied() {
        let reader = PolicyReader(denials: MandatoryDenials(own: ["/srv/worker/state"]))
        #expect(policyProblems("version: 1\nfiles: {read: [/srv/worker/state/x]}\n", reader: reader).count == 1)
        #expect(policyProblems("version: 1\nfiles: {read: [/srv/worker]}\n", reader: reader).isEmpty)
    }
}

let examplePolicy = """
    version: 1
    name: data team
    match:
      environments: ["prod-*"]
      agents: ["data-*"]
    files:
      read: [/srv/data]
      write: [/srv/out]
      hidden: ["**/*.pem"]
    workspace: {mode: cow}
    network:
      rules:
        - id: api
          hosts: api.example.com
          ports: [443, 8443]
          methods: [GET, POST]
          paths: ["/v1/**"]
          credential: github
          max_sent: 1MiB
        - {id: no-admin, verdict: deny, hosts: api.example.com, paths: ["/v1/admin/**"]}
        - {id: tunnel, hosts: other.example.com, opaque: true, max_sent: 64KiB}
      addresses: [10.1.0.0/16]
      upstream: {proxy: "http://proxy.internal:3128", ca_file: /etc/ssl/internal.pem}
    secrets:
      github:
        from: {file: /etc/keys/github}
        hosts: [api.example.com]
        variable: GITHUB_TOKEN
      database:
        from: {vault: {address: "https://vault.internal:8200", path: secret/data/db, field: password, token_file: /etc/keys/vault}}
    forwards:
      - name: db
        listen: 5432
        to: db.internal:5432
        postgres: {role: reader, database: app, secret: database}
    limits: {memory: 512MiB, cpu: 150%, call_time: 30s, io: none}
    budgets:
      results: {session: 64MiB}
      egress: {call: 1MiB, day: none, overrun: ask}
    variables: {LANG: C.UTF-8}
    tools:
      allow: [bash, read, "web_*"]
      deny: [web_search]
      ask:
        - {tool: bash, when: {/command: ["git push*", "rm -rf *"]}, reason: leaves the house}
    redaction:
      detectors: {email: hash}
      patterns: [{name: customer, pattern: "C-[0-9]{6}", action: hash}]
      dictionaries: [{name: names, file: /etc/keys/names.txt}]
    require_all_layers: true
    """
