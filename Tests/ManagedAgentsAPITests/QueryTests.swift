import ManagedAgentsAPI
import Testing

@Suite struct QueryTests {
    @Test func listsTimesAndEscapes() throws {
        let query = Query("statuses%5B%5D=idle&statuses[]=running&created_at%5Bgte%5D=2026-01-02T03%3A04%3A05%2B00%3A00&beta=true&q=a+b%zz")
        #expect(query.list("statuses") == ["idle", "running"])
        #expect(try query.time("created_at", "gte") == Timestamp("2026-01-02T03:04:05Z"))
        #expect(query.string("q") == "a b%zz")
        #expect(try Query("created_at[gt]=2026-01-02T03:04:05+00:00").time("created_at", "gt") == Timestamp("2026-01-02T03:04:05Z"))
        #expect(throws: APIError.self) { try Query("created_at[gt]=yesterday").time("created_at", "gt") }
        #expect(throws: APIError.self) { try Query("include_archived=maybe").bool("include_archived") }
        for bad in ["limit=0", "limit=101", "limit=x", "limit=-1"] {
            #expect(throws: APIError.self) { try Query(bad).limit(default: 20, maximum: 100) }
        }
        #expect(try Query("limit=").limit(default: 20, maximum: 100) == 20)
    }

    @Test func onlyWhatIsNamedIsSeen() {
        let query = Query("a=1&b[]=2&b=3&c=4&d[]=5&a[]=6").only(["a", "b[]", "d"])
        #expect(query.string("a") == "1" && query.list("b") == ["2", "3"] && query.string("c") == nil && query.list("d").isEmpty)
    }

    @Test func cursorsAreBoundToListAndOrder() throws {
        let cursor = PageCursor(major: 1_700_000_000_000_000, minor: "sesn_x", isBackward: false, isDescending: true)
        let text = cursor.encoded(for: "sessions:w")
        #expect(try PageCursor.decode(text, list: "sessions:w", isDescending: true) == cursor)
        #expect(throws: APIError.self) { try PageCursor.decode(text, list: "sessions:v", isDescending: true) }
        #expect(throws: APIError.self) { try PageCursor.decode(text, list: "sessions:w", isDescending: false) }
        #expect(text.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" })
    }

    @Test func everyForgeryIsRefused() {
        let text = PageCursor(major: -5, minor: "agent_x", isBackward: true, isDescending: false).encoded(for: "l")
        #expect(throws: Never.self) { try PageCursor.decode(text, list: "l", isDescending: false) }
        for index in text.indices {
            for replacement in ["A", "z", "9", "!", ""] where replacement != String(text[index]) {
                var forged = text
                forged.replaceSubrange(index...index, with: replacement)
                #expect(throws: APIError.self) { try PageCursor.decode(forged, list: "l", isDescending: false) }
            }
        }
        for junk in ["", "x", "page_1", String(repeating: "A", count: 600), "%00"] {
            #expect(throws: APIError.self) { try PageCursor.decode(junk, list: "l", isDescending: false) }
        }
    }

    @Test func base64URL() {
        for count in 0..<40 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
        #expect(Base64URL.encode(Array("{\"a\":1}".utf8)) == "eyJhIjoxfQ")
    }
}
