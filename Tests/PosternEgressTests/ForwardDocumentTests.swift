import Foundation
import PosternPolicy
import Testing

/// The policies on the page about forwards are policies.
@Suite struct ForwardDocumentTests {
    @Test func everyExampleIsAccepted() throws {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../docs/forwards.md")
        let blocks = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```yaml\n").dropFirst().map {
            $0.components(separatedBy: "```")[0]
        }
        #expect(blocks.count == 3)
        for block in blocks {
            let text = block.hasPrefix("version:") ? block : "version: 1\nname: example\n" + block
            let loaded = try PolicyReader().read(text, file: "forwards.md")
            #expect(!loaded.policy.forwards.isEmpty || !loaded.policy.secrets.isEmpty)
        }
    }
}
