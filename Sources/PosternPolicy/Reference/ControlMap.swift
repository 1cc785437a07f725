import PosternJSON

/// Which controls of well-known catalogues a policy answers, what holds each of them here, and what does not. Made from the policy itself,
/// so that a changed policy changes the map. It is a map for whoever has to write an assessment, and no assessment.
///
/// Controls are named by their headings; a number stands only where a catalogue keeps it from edition to edition. Controls that have no
/// counterpart in a sandbox without images and orchestrator are left out.
package struct ControlMap: Sendable, Hashable {
    package enum Catalogue: String, Sendable, Hashable, CaseIterable {
        case containers = "NIST SP 800-190, countermeasures"
        case docker = "CIS Docker Benchmark, container runtime"
        case kubernetes = "CIS Kubernetes Benchmark, policies"
        case trustServices = "SOC 2, common criteria"
    }

    /// A part of Postern that enforces something. All but `policy`, `worker` and `operator` are layers of threats.md or gates.
    package enum Layer: String, Sendable, Hashable, CaseIterable {
        case mounts, namespaces, network, seccomp, Landlock, user, `init`, limits, proxy, gate, audit, policy, worker
    }

    /// A key of the policy with what this policy says.
    package struct Setting: Sendable, Hashable {
        package var key: String
        package var value: String
    }

    package struct Row: Sendable, Hashable {
        package var catalogue: Catalogue
        package var control: String
        /// Empty where no policy can change what holds.
        package var settings: [Setting]
        package var layers: [Layer]
        /// One or more sentences without the last full stop.
        package var holds: String
        package var gap: String
    }

    package let policyName: String
    package let digest: String
    package let rows: [Row]

    package init(_ policy: Policy) {
        policyName = policy.name
        digest = policy.digest
        let values = ControlValues(policy)
        rows = ContainerControls.rows(values) + BenchmarkControls.docker(values) + BenchmarkControls.kubernetes(values) + TrustControls.rows(values)
    }

    package var json: JSON {
        [
            "type": "control_map", "policy": .string(policyName), "digest": .string(digest),
            "controls": .array(
                rows.map { row in
                    [
                        "catalogue": .string(row.catalogue.rawValue), "control": .string(row.control),
                        "settings": .object(JSONObject(row.settings.map { ($0.key, .string($0.value)) })),
                        "layers": .array(row.layers.map { .string($0.rawValue) }), "holds": .string(row.holds), "gap": .string(row.gap),
                    ]
                }),
        ]
    }
}
