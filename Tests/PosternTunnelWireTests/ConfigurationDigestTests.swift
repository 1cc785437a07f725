import PosternJSON
import Testing

@testable import PosternTunnelWire

@Suite struct ConfigurationDigestTests {
    private let agent: JSONObject = ["id": "agent_1", "version": 1, "name": "a", "model": ["id": "m"], "system": "s", "tools": [["type": "x"]]]

    @Test func itFollowsWhatTheAgentDoesAndNothingElse() {
        let digest = ConfigurationDigest.text(of: agent)
        #expect(digest.wholeMatch(of: /sha256:[0-9a-f]{64}/) != nil)
        for (key, value): (String, JSON) in [("id", "agent_2"), ("version", 2), ("name", "b"), ("skills", .null), ("updated_at", "now")] {
            var same = agent
            same[key] = value
            #expect(ConfigurationDigest.text(of: same) == digest, "\(key)")
        }
        for key in ConfigurationDigest.members {
            var other = agent
            other[key] = ["other"]
            #expect(ConfigurationDigest.text(of: other) != digest, "\(key)")
        }
    }

    /// What documents of connectors pin has to stay what it is: this is the SHA-256 of the text of RFC 8785, made elsewhere.
    @Test func itIsTheDigestOfTheCanonicalText() {
        let known = "sha256:a183ff8ea36a160b090aa24475a691fba43677f3a469b43d65ce69cf18a7cfc8"
        #expect(ConfigurationDigest.text(of: agent) == known)
        #expect(ConfigurationDigest.text(of: JSONObject(agent.reversed().map { ($0.key, $0.value) })) == known)
    }
}
