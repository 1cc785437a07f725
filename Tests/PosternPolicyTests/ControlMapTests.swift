import PosternJSON
import Testing

@testable import PosternPolicy

@Suite struct ControlMapTests {
    private func map(_ text: String) throws -> ControlMap { ControlMap(try readPolicy(text)) }

    private func row(_ map: ControlMap, _ control: String) throws -> ControlMap.Row {
        try #require(map.rows.first { $0.control.contains(control) }, "\(control)")
    }

    @Test func valuesAreThoseOfThePolicy() throws {
        let map = try map("version: 1\nlimits: {memory: 1GiB, cpu: none}\nfiles: {write: [/srv/out]}\n")
        #expect(try row(map, "Memory usage").settings.first == .init(key: "limits.memory", value: "1GiB"))
        #expect(try row(map, "tampering").settings.contains(.init(key: "files.write", value: "/srv/out")))
        #expect(try row(map, "tampering").gap.contains("bound writable"))
    }

    /// A bound that a policy lifts must not be told as one that holds.
    @Test func aLiftedBoundIsAGap() throws {
        let row = try row(map("version: 1\nlimits: {cpu: none}\n"), "CPU priority")
        #expect(row.settings == [.init(key: "limits.cpu", value: "none")])
        #expect(row.holds.hasPrefix("Nothing of this policy") && row.gap.contains("`limits.cpu`"))
        #expect(try !self.row(map("version: 1\n"), "CPU priority").gap.contains("`limits.cpu`"))
    }

    @Test func anOpenedNetworkIsTold() throws {
        let closed = try row(map("version: 1\n"), "Unbounded network access")
        #expect(closed.holds.hasPrefix("Nothing leaves"))
        let open = try row(
            map("version: 1\nnetwork: {rules: [{id: blobs, hosts: a.example, opaque: true, max_sent: 1MiB}, {id: api, hosts: b.example}]}\n"),
            "Unbounded network access")
        #expect(!open.holds.hasPrefix("Nothing leaves") && open.gap.contains("counted and not read: blobs") && open.gap.contains("any account: api"))
        #expect(open.settings.contains { $0.key == "network.rules" && $0.value == "blobs (a.example), api (b.example)" })
    }

    @Test func longListsAreCut() throws {
        let map = try map("version: 1\nfiles: {read: [/srv/a, /srv/b, /srv/c, /srv/d, /srv/e, /srv/f]}\n")
        #expect(try row(map, "Image countermeasures").settings.first?.value == "/srv/a, /srv/b, /srv/c, /srv/d and 2 more")
    }

    @Test func everyCatalogueHasRowsAndEveryRowSaysAll() throws {
        for text in ["version: 1\n", "version: 1\nextends: build\n", "version: 1\nextends: offline\n"] {
            let map = try map(text)
            for catalogue in ControlMap.Catalogue.allCases { #expect(map.rows.contains { $0.catalogue == catalogue }) }
            for row in map.rows {
                #expect(!row.holds.isEmpty && !row.gap.isEmpty && !row.layers.isEmpty && !row.holds.hasSuffix("."), "\(row.control)")
            }
            #expect(map.json["controls"]?.array?.count == map.rows.count && map.json["digest"]?.string == map.digest)
        }
    }

    /// A name that an operator chose ends no cell of the page.
    @Test func namesDoNotBreakTheTable() throws {
        let page = try map("version: 1\nname: \"a|b\"\ntools: {allow: [\"a|b\"]}\n").page
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("|") && !$0.hasPrefix("| ---") }
        #expect(!rows.isEmpty && rows.allSatisfy { $0.replacing("\\|", with: "").filter { $0 == "|" }.count == 6 })
    }
}
