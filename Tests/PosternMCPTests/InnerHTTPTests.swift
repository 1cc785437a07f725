import ManagedAgentsClient
import NIOCore
import PosternHTTP
import Testing

@testable import PosternMCP

/// Answers that say one thing, and all the ways of saying more, less or two.
@Suite struct InnerHTTPTests {
    private struct Seen: Equatable {
        var status: Int?
        var body = ""
        var isReusable: Bool?
    }

    /// Feeds `pieces` to the answer of one request, and then the end where `ends`.
    private func read(_ pieces: [String], method: String = "POST", ends: Bool = false) throws(InnerHTTP.Problem) -> Seen {
        var http = InnerHTTP()
        try http.begin(method)
        var seen = Seen()
        for piece in pieces {
            try http.receive(ByteBuffer(string: piece))
            try drain(&http, &seen)
        }
        if ends {
            try http.end()
            try drain(&http, &seen)
        }
        return seen
    }

    private func drain(_ http: inout InnerHTTP, _ seen: inout Seen) throws(InnerHTTP.Problem) {
        while true {
            switch try http.next() {
            case .more: return
            case .head(let head): seen.status = head.status
            case .part(let part): seen.body += String(buffer: part)
            case .ended(let isReusable):
                seen.isReusable = isReusable
                return
            }
        }
    }

    private func problem(_ pieces: String..., method: String = "POST", ends: Bool = false) -> InnerHTTP.Problem? {
        do throws(InnerHTTP.Problem) {
            let seen = try read(pieces, method: method, ends: ends)
            Issue.record("accepted: \(seen)")
            return nil
        } catch { return error }
    }

    static let whole = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    ]

    @Test(arguments: whole)
    func anAnswerIsTheSameInOnePieceAndByteByByte(answer: String) throws {
        let expected = Seen(status: 200, body: "hello", isReusable: !answer.contains("close"))
        #expect(try read([answer]) == expected)
        #expect(try read(answer.utf8.map { String(decoding: [$0], as: UTF8.self) }) == expected)
    }

    @Test(arguments: whole)
    func anAnswerCutAtAnyByteIsNone(answer: String) throws {
        let bytes = Array(answer.utf8)
        for length in 0..<bytes.count {
            let cut = String(decoding: bytes[..<length], as: UTF8.self)
            let error = problem(cut, ends: true)
            #expect(error == .noAnswer || error == .cutOff, "\(length) bytes: \(String(describing: error))")
            // Without the end nothing is taken for whole either.
            #expect(try read([cut]).isReusable == nil)
        }
    }

    @Test func answersWithoutABodyAreWholeAtOnce() throws {
        #expect(try read(["HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"]) == Seen(status: 202, body: "", isReusable: true))
        #expect(try read(["HTTP/1.1 204 No Content\r\n\r\n"]) == Seen(status: 204, body: "", isReusable: true))
    }

    @Test func framingWithTwoReadingsIsRefused() {
        let heads = [
            "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5", "Content-Length: +5",
            "Content-Length: 0x5", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Content-Length: -1", "Content-Length : 5",
            "Content-Length: 5\r\n Folded: 1", "Content-Length: 5\r\nA\u{1}: 1", "Content-Length: 99999999999999999999",
        ]
        for head in heads {
            guard case .malformed? = problem("HTTP/1.1 200 OK\r\n\(head)\r\n\r\nhello") else {
                Issue.record("\(head)")
                continue
            }
        }
        for line in ["HTTP/2 200 OK", "HTTP/1.1 2000 OK", "HTTP/1.1  200 OK", "http/1.1 200 OK", "ICY 200 OK", "HTTP/1.1 099 OK"] {
            guard case .malformed? = problem("\(line)\r\nContent-Length: 0\r\n\r\n") else {
                Issue.record("\(line)")
                continue
            }
        }
        for body in [
            "5;a=b\r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "-5\r\nhello", "5\r\nhelloo\r\n0\r\n\r\n", "0x5\r\nhello\r\n", " 5\r\nhello\r\n",
        ] {
            guard case .malformed? = problem("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(body)") else {
                Issue.record("\(body)")
                continue
            }
        }
        guard case .malformed? = problem("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello") else {
            Issue.record("bare LF")
            return
        }
    }

    @Test func whatWouldEndWithItsConnectionIsRefused() {
        #expect(problem("HTTP/1.1 200 OK\r\n\r\nhello", ends: true) == .noLength)
        #expect(problem("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n") == .noLength)
    }

    @Test func otherProtocolsAreRefused() {
        #expect(problem("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n") == .oldVersion)
        #expect(problem("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n") == .switchesProtocol)
    }

    @Test func interimAnswersAreBounded() throws {
        let interim = String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: InnerHTTP.mostInterim)
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        #expect(try read([interim + answer]).status == 200)
        #expect(problem(interim + "HTTP/1.1 102 Processing\r\n\r\n" + answer) == .tooManyInterim)
    }

    @Test func anAnswerBeforeItsRequestIsRefused() {
        var http = InnerHTTP()
        #expect(throws: InnerHTTP.Problem.unasked) { try http.receive(ByteBuffer(string: "HTTP/1.1 200 OK\r\n")) }
        // The connection is of no use after that.
        #expect(throws: InnerHTTP.Problem.unasked) { try http.begin("POST") }
    }

    @Test func aSecondAnswerIsRefused() throws {
        for answer in Self.whole.dropLast() {
            #expect(problem(answer + answer) == .secondAnswer)
            #expect(problem(answer + "x") == .secondAnswer)
        }
        #expect(problem("HTTP/1.1 204 No Content\r\n\r\nx") == .secondAnswer)
        // A 204 or 304 has no body, whatever its head says.
        #expect(problem("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello") == .secondAnswer)
        // One that comes later, before anything was asked.
        var http = InnerHTTP()
        try http.begin("POST")
        try http.receive(ByteBuffer(string: Self.whole[0]))
        var seen = Seen()
        try drain(&http, &seen)
        #expect(http.isIdle)
        #expect(throws: InnerHTTP.Problem.unasked) { try http.receive(ByteBuffer(string: Self.whole[0])) }
    }

    @Test func oneConnectionCarriesOneRequestAfterAnother() throws {
        var http = InnerHTTP()
        for number in 0..<3 {
            try http.begin(number == 1 ? "GET" : "POST")
            #expect(throws: InnerHTTP.Problem.unasked) {
                var copy = http
                try copy.begin("POST")
            }
            try http.receive(ByteBuffer(string: Self.whole[number % 2]))
            var seen = Seen()
            try drain(&http, &seen)
            #expect(seen == Seen(status: 200, body: "hello", isReusable: true))
        }
    }

    @Test func aHeadIsBounded() {
        guard case .malformed? = problem("HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 70_000)) else {
            Issue.record("not bounded")
            return
        }
    }
}

@Suite struct InnerRequestTests {
    private func request(
        _ method: ClientMethod = .post, target: String = "/mcp", headers: ClientHeaders = ["Accept": "application/json"], body: String = "{}"
    ) throws(InnerRequest.Invalid) -> String {
        let request = ClientRequest(method: method, target: target, headers: headers, body: Array(body.utf8), timeout: .seconds(1))
        return String(decoding: try InnerRequest(request, host: "docs.ab12cd34.tunnel.example.com").bytes, as: UTF8.self)
    }

    @Test func theFramingIsTheClientsOwn() throws {
        #expect(
            try request()
                == "POST /mcp HTTP/1.1\r\nHost: docs.ab12cd34.tunnel.example.com\r\nAccept: application/json\r\nContent-Length: 2\r\n\r\n{}")
        #expect(try request(.get, body: "") == "GET /mcp HTTP/1.1\r\nHost: docs.ab12cd34.tunnel.example.com\r\nAccept: application/json\r\n\r\n")
        #expect(try request(.delete, headers: [:], body: "").hasSuffix("Content-Length: 0\r\n\r\n"))
    }

    @Test func nothingFromOutsideChangesIt() {
        for target in ["", "mcp", "/a b", "/a\r\nX: 1", "/\u{e4}", "http://other/"] {
            #expect(throws: InnerRequest.Invalid.self) { try request(target: target) }
        }
        for field in ["Host", "content-length", "Transfer-Encoding", "Connection", "Expect", "TE", "Upgrade", "Proxy-Authorization"] {
            #expect(throws: InnerRequest.Invalid.self) { try request(headers: [field: "x"]) }
        }
        for (name, value) in [("A", "b\r\nX: 1"), ("A", "b\n"), ("A\r\nX", "1"), ("", "1"), ("A b", "1"), ("A", "\u{0}")] {
            #expect(throws: InnerRequest.Invalid.self) { try request(headers: [name: value]) }
        }
    }
}
