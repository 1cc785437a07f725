import AsyncHTTPClient
import PosternModels
import Testing

@Suite struct ModelProviderConfigurationTests {
    @Test(arguments: [
        "https://api.anthropic.com", "https://api.anthropic.com/", "https://host:8443/path", "http://127.0.0.1:8080", "http://localhost",
        "http://[::1]:80/v1",
        "HTTP://LOCALHOST:1", "http://127.9.9.9",
    ])
    func goodBaseURLs(url: String) {
        #expect(throws: Never.self) { try ModelBaseURL(url) }
    }

    @Test(arguments: [
        "", "api.anthropic.com", "ftp://x", "https://", "https:///v1", "https://user:pass@host", "https://host/?q", "https://host/#f",
        "https://ho st",
        "http://example.com", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://127.1", "http://10.0.0.1:8000", "http://[::1",
        "https://hé", "http://[::1]example.com", "http://[::1]:80example.com", "http://127.0.0.1:80example.com", "http://127.0.0.1:",
        "http://127.0.0.1:0",
        "http://127.0.0.1:+80", "http://127.0.0.01", "http://[127.0.0.1]", "http://0.0.0.0", "http://[::ffff:127.0.0.1]",
    ])
    func badBaseURLs(url: String) {
        #expect(throws: ModelConfigurationError.self) { try ModelBaseURL(url) }
    }

    @Test func plainHTTPBeyondLoopbackMustBeAllowed() {
        #expect(throws: Never.self) { try ModelBaseURL("http://10.0.0.1:8000", allowsPlainHTTP: true) }
    }

    @Test(arguments: ["", "two words", "line\nbreak", "clé"]) func badKeys(key: String) {
        #expect(throws: ModelConfigurationError.self) { try ModelProviderConfiguration(kind: .anthropic, apiKey: key) }
    }

    @Test func theKeyIsNeverPrinted() throws {
        let configuration = try ModelProviderConfiguration(kind: .openai, apiKey: "sk-very-secret")
        var dumped = ""
        dump(configuration, to: &dumped)
        let key = try #require(configuration.apiKey)
        for text in ["\(configuration)", String(reflecting: configuration), dumped, "\(key)", String(reflecting: key)] {
            #expect(!text.contains("secret"))
        }
    }

    @Test(arguments: ["http://proxy:3128", "http://proxy:3128/", "http://user:pass@10.0.0.1:8080", "http://[::1]:3128"])
    func goodProxies(url: String) throws {
        let configuration = try ModelProviderConfiguration(kind: .anthropic, proxyURL: url)
        #expect(throws: Never.self) { try configuration.httpClientConfiguration() }
    }

    @Test(arguments: [
        "proxy:3128", "https://proxy:3128", "http://proxy", "http://:3128", "http://proxy:0", "http://proxy:99999", "http://a/b:80", "socks5://x:1",
    ])
    func badProxies(url: String) throws {
        let configuration = try ModelProviderConfiguration(kind: .anthropic, proxyURL: url)
        #expect(throws: ModelConfigurationError.self) { try configuration.httpClientConfiguration() }
    }

    @Test(arguments: ["http://127.0.0.1:1", "http://localhost:1", "https://[::1]:1"])
    func loopbackIsDialledDirectly(url: String) throws {
        let configuration = try ModelProviderConfiguration(kind: .anthropic, baseURL: url, proxyURL: "http://proxy:3128")
        #expect(try configuration.httpClientConfiguration().proxy == nil)
        // A host whose name only begins like it is not spared the proxy.
        let away = try ModelProviderConfiguration(kind: .anthropic, baseURL: "https://127.0.0.1.example.com", proxyURL: "http://proxy:3128")
        #expect(try away.httpClientConfiguration().proxy != nil)
    }

    @Test func aMissingCAFileIsSaid() throws {
        let configuration = try ModelProviderConfiguration(kind: .anthropic, caFile: "/nonexistent/ca.pem")
        #expect(throws: ModelConfigurationError.self) { try configuration.httpClientConfiguration() }
    }
}
