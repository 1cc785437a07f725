import PosternJSON
import Testing

@testable import ManagedAgentsAPI

/// Images and documents that clients send: what is none is refused before it is in a session's history.
@Suite struct MediaSignatureTests {
    private static let samples: [(String, String?)] = [
        ("iVBORw0KGgo=", "image/png"), ("/9j/4AAQ", "image/jpeg"), ("R0lGODlh", "image/gif"), ("R0lGODdh", "image/gif"),
        ("UklGRgAAAABXRUJQ", "image/webp"), ("UklGRgAAAABXQVZF", nil), ("JVBERi0xLjQ=", "application/pdf"), ("Cg0KJVBERi0xLjQ=", "application/pdf"),
        ("AAAA", nil), ("", nil), ("iVBO", nil), ("====", nil),
    ]

    @Test(arguments: samples) func kinds(data: String, type: String?) { #expect(MediaSignature.mediaType(ofBase64: data) == type) }

    @Test(arguments: [
        ("", true), ("AAAA", true), ("AAA=", true), ("AA==", true), ("A===", false), ("AA=A", false), ("AAA", false), ("AA-_", false), ("=", false),
    ])
    func padding(data: String, isBase64: Bool) { #expect(MediaSignature.isBase64(data) == isBase64) }

    private func send(_ type: String, _ block: JSON) throws(APIError) {
        var event: JSONObject = ["type": .string(type), "content": [block]]
        if type != "user.message" { event["tool_use_id"] = "sevt_1" }
        _ = try ClientEventParams.send(["events": [.object(event)]], maximum: 10)
    }

    private static func media(_ kind: String, _ type: String, _ data: String) -> JSON {
        ["type": .string(kind), "source": ["type": "base64", "media_type": .string(type), "data": .string(data)]]
    }

    private static let wrong: [(JSON, String)] = [
        (media("image", "image/png", "AAAA"), "data: is no image/png: the data begins like no image or PDF"),
        (media("image", "image/png", "/9j/4AAQ"), "data: is no image/png: the data begins like image/jpeg"),
        (media("image", "image/tiff", "iVBORw0KGgo="), "image/tiff"), (media("image", "application/pdf", "JVBERi0xLjQ="), "application/pdf"),
        (media("document", "application/pdf", "iVBORw0KGgo="), "data: is no application/pdf"),
        (media("document", "text/html", "JVBERi0xLjQ="), "text/html"),
    ]

    @Test(arguments: wrong) func messages(block: JSON, reason: String) throws {
        let error = #expect(throws: APIError.self) { try send("user.message", block) }
        #expect(error?.status == 400 && error?.message.contains(reason) == true, "\(error?.message ?? "")")
        // A call must be answered, whatever with.
        try send("user.tool_result", block)
    }

    @Test func whatIsRight() throws {
        try send("user.message", Self.media("image", "image/png", "iVBORw0KGgo="))
        try send("user.message", Self.media("document", "application/pdf", "JVBERi0xLjQ="))
        try send("user.tool_result", ["type": "text", "text": " "])
    }

    @Test(arguments: [" ", "\n\t", "\u{00A0}"]) func whiteSpace(text: String) {
        let error = #expect(throws: APIError.self) { try send("user.message", ["type": "text", "text": .string(text)]) }
        #expect(error?.message.hasPrefix("events.0.user_message.content.0.text: must hold more than white space") == true)
    }
}
