import PosternJSON

/// Makes a policy of a document: text → values with places → laid over the profile → held against the schema → typed → checked together.
package struct PolicyReader: Sendable {
    /// What no policy can open on this machine.
    package var denials: MandatoryDenials
    /// Why a redaction pattern is not in the gate's syntax; `nil` when it is. The default accepts every text, for the gate reads it again.
    package var patternProblem: @Sendable (String) -> String?

    package init(denials: MandatoryDenials = MandatoryDenials(), patternProblem: @escaping @Sendable (String) -> String? = { _ in nil }) {
        self.denials = denials
        self.patternProblem = patternProblem
    }

    /// The policy in `text`. Everything that is wrong with it is thrown at once.
    /// - Parameter file: its name, for places, and for the policy where the document has no name.
    package func read(_ text: String, file: String) throws(PolicyProblems) -> LoadedPolicy {
        let document = try PolicyText.read(text, file: file)
        let (loaded, problems) = assemble(document, file: file)
        guard problems.isEmpty else {
            throw PolicyProblems(problems.sorted { ($0.place.line, $0.place.column) < ($1.place.line, $1.place.column) })
        }
        return loaded
    }

    /// A policy of which another document holds a part, a mapping of some of a policy's keys: the rest is the profile's. With problems it is not to be
    /// used; their paths begin at `section`.
    package func read(section: PolicyNode) -> (policy: Policy, problems: [PolicyProblem]) {
        let version = PolicyNode.Member(key: "version", keyPlace: section.place, value: PolicyNode(.integer(1), at: section.place))
        let document = PolicyNode(.map([version] + (section.members ?? [])), at: section.place)
        let (loaded, problems) = assemble(document, file: section.place.file)
        return (loaded.policy, problems)
    }

    /// A profile as it is without any document.
    package static func profile(_ profile: Profile) -> LoadedPolicy {
        let file = "profile \(profile.rawValue)"
        let document: JSON = ["version": 1, "name": .string(profile.rawValue), "extends": .string(profile.rawValue)]
        let place = SourcePlace(file: file, line: 1, column: 1)
        return PolicyReader().assemble(PolicyNode(json: document, at: place), file: file).loaded
    }

    /// The policy and what is wrong. With problems the policy is what could be read, and is not to be used.
    func assemble(_ document: PolicyNode, file: String) -> (loaded: LoadedPolicy, problems: [PolicyProblem]) {
        let profile = document["extends"]?.text.flatMap(Profile.init(rawValue:)) ?? .strict
        var overlay = DocumentOverlay()
        var whole = overlay.lay(document, over: profile.document, fields: PolicySchema.document)
        if document["version"] == nil, var members = whole.members {
            // The profile's own version would hide that the document has none.
            members.removeAll { $0.key == "version" }
            whole.value = .map(members)
        }
        var reader = SchemaReader()
        let json = reader.read(whole, as: .object(PolicySchema.document)) ?? [:]
        var decoder = PolicyDecoder(reader: reader, profile: profile, denials: denials, patternProblem: patternProblem)
        var policy = decoder.decode(json)
        if document["name"] == nil { policy.name = Self.name(ofFile: file) }
        let loaded = LoadedPolicy(policy: policy, match: decoder.match, file: file, document: json, places: decoder.reader.places)
        return (loaded, overlay.problems + decoder.reader.problems)
    }

    /// The last component without its ending.
    private static func name(ofFile file: String) -> String {
        let last = file.split(separator: "/").last.map(String.init) ?? file
        for ending in [".yaml", ".yml", ".json"] where last.hasSuffix(ending) { return String(last.dropLast(ending.count)) }
        return last
    }
}
