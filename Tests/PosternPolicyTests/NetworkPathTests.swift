import PosternJSON
import Testing

@testable import PosternPolicy

@Suite("Paths, secrets and forwards of the network policy")
struct NetworkPathTests {
    @Test(
        "paths in their normal form",
        arguments: [
            ("/", "/"), ("/a%2Db", "/a-b"), ("/a%2fb", "/a%2Fb"), ("/a?b=%2e%2e", "/a"), ("/%41", "/A"), ("/a..b/.hidden", "/a..b/.hidden"),
            ("//a", "//a"),
        ])
    func normal(target: String, path: String) throws {
        #expect(try RequestPath(target: target.utf8).path == path)
    }

    @Test(
        "paths that servers read differently are refused",
        arguments: [
            "", "a", "*", "/a b", "/a#b", "/\\a", "/a%", "/a%2", "/a%zz", "/a%00", "/a%0d%0a", "/..", "/a/../b", "/a/.", "/%2e%2e/b", "/a/%2E./b",
            "/a%2f..%2fb",
            "/a/..%2fb", "/a/..;x/b", "/%252e%252e/b", "/%25252e%25252e/b", "/a/..%5cb", "/é", "/a\u{1}", "/a%+1",
        ])
    func refused(target: String) {
        #expect(throws: PolicyValueError.self) { try RequestPath(target: target.utf8) }
    }

    @Test(
        "globs",
        arguments: [
            ("/v1/*", "/v1/a", true), ("/v1/*", "/v1/", true), ("/v1/*", "/v1/a/b", false), ("/v1/**", "/v1/a/b", true), ("/v1/**", "/v1", false),
            ("/v?", "/v1", true),
            ("/v?", "/v/", false), ("**", "/anything/at/all", true), ("/a/**/z", "/a/b/c/z", true), ("/a/**/z", "/a/z", false),
            ("/a*b*c", "/aXbYc", true),
            ("/a*b*c", "/ac", false), ("/a.b", "/aXb", false), ("/a", "/ab", false), ("/ab", "/a", false),
        ])
    func globs(pattern: String, path: String, covers: Bool) throws {
        #expect(try PathPattern(pattern).covers(path) == covers)
    }

    @Test("a hostile glob takes no time")
    func hostileGlob() throws {
        let pattern = try PathPattern("/" + String(repeating: "*a", count: 400))
        let clock = ContinuousClock()
        let time = clock.measure { #expect(!pattern.covers("/" + String(repeating: "a", count: 2000) + "b")) }
        #expect(time < .seconds(10))
    }

    @Test("bindings: defaults, JSON, narrowing")
    func binding() throws {
        let full = try SecretBinding(
            json: [
                "name": "gh", "hosts": ["api.github.com", "github.com:443"], "schemes": ["bearer", "basic"], "variable": "GH_TOKEN",
                "body": ["method": "POST", "path": "/login", "pointer": "/token"],
            ])
        #expect(try SecretBinding(json: full.json) == full)
        #expect(full.header == "authorization")
        let api = try CanonicalHost("api.github.com")
        #expect(full.covers(api, port: 443) && !full.covers(api, port: 80))
        var other = full
        other.hosts = [try HostPattern("github.com"), try HostPattern("evil.com")]
        other.schemes = [.basic, .none]
        other.body = nil
        let both = try #require(full.narrowed(by: other))
        #expect(both.hosts == [try HostPattern("github.com:443")] && both.schemes == [.basic] && both.body == nil)
        other.header = "x-key"
        #expect(full.narrowed(by: other) == nil)
        #expect(try SecretBinding(json: ["name": "k", "hosts": ["a.com"], "header": "X-Api-Key"]).schemes == [.none])
        for header in ["host", "Content-Length", "a b", "", "proxy-authorization"] {
            #expect(throws: PolicyValueError.self) { try SecretBinding(json: ["name": "k", "hosts": ["a.com"], "header": .string(header)]) }
        }
        #expect(throws: PolicyValueError.self) { try SecretBinding(json: ["name": "k", "hosts": []]) }
        #expect(throws: PolicyValueError.self) { try SecretBinding(json: ["name": "k", "hosts": ["a.com"], "value": "hunter2"]) }
    }

    @Test("forwards: JSON and narrowing")
    func forward() throws {
        let tcp = try Forward(json: ["name": "r", "listen": 6379, "to": "redis.internal:6379", "max_sent": 100])
        let database = try Forward(
            json: [
                "name": "db", "listen": 5432, "to": "db.internal:5432",
                "postgres": ["role": "agent", "database": "app", "secret": "pw", "ca_file": "/etc/ca.pem"],
            ])
        for forward in [tcp, database] { #expect(try Forward(json: forward.json) == forward && forward.narrowed(by: forward) == forward) }
        var smaller = tcp
        smaller.kind = .tcp(maximumSent: 10)
        #expect(tcp.narrowed(by: smaller) == smaller && smaller.narrowed(by: tcp) == smaller)
        smaller.target = try Authority("other.internal:6379")
        #expect(tcp.narrowed(by: smaller) == nil)
        #expect(throws: PolicyValueError.self) { try Forward(json: ["name": "r", "listen": 0, "to": "a:1"]) }
        #expect(throws: PolicyValueError.self) { try Forward(json: ["name": "r", "listen": 1, "to": "a"]) }
    }
}
