import ManagedAgentsAPI
@testable import ManagedAgentsClient
import PosternJSON
import Testing

@Suite struct RequestTests {
    @Test func anIdCannotChangeTheRoute() {
        let id = "a/../b?c#d%20é"
        let path: RequestPath = "/v1/sessions/\(id)/events"
        #expect(path.text == "/v1/sessions/a%2F..%2Fb%3Fc%23d%2520%C3%A9/events")
        #expect(("/v1/sessions/\("..")" as RequestPath).text == "/v1/sessions/%2E%2E")
        #expect(("/v1/sessions/\("")" as RequestPath).hasEmptyParameter)
    }

    @Test func queriesUseBrackets() {
        var query: RequestQuery = ["limit": "3", "page": nil]
        query.add("statuses", list: ["idle", "running"])
        query.add("include_archived", true)
        #expect(query.text == "?limit=3&statuses%5B%5D=idle&statuses%5B%5D=running&include_archived=true")
        query.set("limit", "4")
        #expect(query.items.last?.value == "4")
        #expect((RequestQuery()).text == "")
    }

    @Test(arguments: [
        ("https://api.anthropic.com", "https://api.anthropic.com:443"), ("http://127.0.0.1:8400/", "http://127.0.0.1:8400"),
        ("http://[::1]:9", "http://[::1]:9"), ("http://LOCALHOST/x/y/", "http://localhost:80/x/y"),
    ]) func goodAddresses(_ text: String, _ normal: String) throws { #expect(try BaseURL(text).description == normal) }

    @Test(arguments: [
        "http://example.com", "http://10.0.0.1:8400", "http://127.0.0.1.evil.com", "http://127.0.0", "http://127.0.0.01", "http://127.1",
        "http://[127.0.0.1]",
        "http://[::ffff:127.0.0.1]", "http://0.0.0.0", "http://localhost.", "ftp://x", "https://u:p@x", "https://x?y",
        "https://",
        "https://x:0", "https://x:99999", "https://[::1", "https://a b",
    ]) func badAddresses(_ text: String) {
        let error = #expect(throws: BaseURL.Invalid.self) { try BaseURL(text) }
        #expect(error?.description.contains("u:p") != true)
    }

    @Test func proxies() throws {
        #expect(try Proxy("http://proxy.local:3128") == Proxy("http://proxy.local:3128/"))
        let proxy = try Proxy("http://us%40er:p%3Aw@proxy.local")
        #expect(proxy.port == 80 && proxy.credentials?.user == "us@er" && proxy.credentials?.password.value == "p:w")
        #expect(throws: Proxy.Invalid.self) { try Proxy("https://proxy") }
        #expect(throws: Proxy.Invalid.self) { try Proxy("http://proxy/path") }
    }

    @Test func secretsDoNotPrint() {
        let secret = Secret("hunter2")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect("\(secret) \(String(reflecting: secret)) \(dumped)".contains("hunter2") == false)
    }

    @Test func retryRules() {
        let policy = RetryPolicy.standard
        for status in [408, 409, 429, 500, 503, 529] {
            #expect(policy.delay(afterStatus: status, headers: [:], retry: 0, random: 0, unixTime: 0) == .milliseconds(500))
        }
        for status in [400, 401, 403, 404, 412, 413] {
            #expect(policy.delay(afterStatus: status, headers: [:], retry: 0, random: 0, unixTime: 0) == nil)
        }
        func delay(_ headers: ClientHeaders, status: Int = 429, retry: Int = 0) -> Duration? {
            policy.delay(afterStatus: status, headers: headers, retry: retry, random: 0, unixTime: 784_111_770)
        }
        #expect(delay(["x-should-retry": "false"]) == nil)
        #expect(delay(["X-Should-Retry": "true"], status: 400) == .milliseconds(500))
        #expect(delay(["retry-after-ms": "1250", "retry-after": "9"]) == .milliseconds(1250))
        #expect(delay(["retry-after": "9"]) == .seconds(9))
        #expect(delay(["retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"]) == .seconds(7))
        #expect(delay(["retry-after": "soon"]) == .milliseconds(500))
        #expect(delay(["retry-after": "3600"]) == nil)  // the caller's to wait
        #expect(delay(["retry-after": "1e300"]) == nil)
        #expect(RetryPolicy.retryAfter(["retry-after": "100000"], unixTime: 0) == .seconds(100_000))  // not cut: the caller is to know
        #expect(RetryPolicy.retryAfter(["retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"], unixTime: 0) == .seconds(3_155_760_000))
        // The answer's own date, not a clock that may be wrong.
        #expect(delay(["Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:35 GMT"]) == .seconds(2))
        #expect(delay([:], retry: 2) == nil)
        #expect(RetryPolicy(maximumRetries: 99).backoff(retry: 50, random: 0) == .seconds(8))
        #expect(RetryPolicy(maximumRetries: 99).backoff(retry: 50, random: 1) == .seconds(6))
        #expect(policy.delay(after: .cancelled, retry: 0, random: 0) == nil)
        #expect(policy.delay(after: .broken("x"), retry: 1, random: 0) == .seconds(1))
    }

    @Test func errorsAreDecodedWhateverTheBody() {
        let body = Array(#"{"type":"error","error":{"type":"odd_error","message":"m","details":{"error_code":"c"}},"request_id":"req_b"}"#.utf8)
        let known = APIFailure(status: 400, headers: ["request-id": "req_h"], body: body, unixTime: 0)
        #expect(known.typeName == "odd_error" && known.error.kind == .invalidRequest && known.requestID == "req_h")
        #expect(known.error.details?["error_code"] == "c")
        let page = APIFailure(status: 502, headers: [:], body: Array("<html>\n bad   gateway</html>".utf8), unixTime: 0)
        #expect(page.error.message == "<html> bad gateway</html>" && page.error.kind == .api)
        #expect(APIFailure(status: 429, headers: [:], body: [], unixTime: 0).error.message == "HTTP 429 without a body")
        #expect(ClientError.api(known).isFatal && !ClientError.api(page).isFatal)
    }
}
