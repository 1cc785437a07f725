import ArgumentParser
import PosternJSON
import PosternSandbox

/// `postern sandbox seccomp`
struct SeccompCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seccomp", abstract: "Print the system call filter of every sandbox as a table.",
        discussion: "It is decoded from the compiled filter: what is printed is what is installed. Example: postern sandbox seccomp | grep socket")

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    func run() throws {
        let listing = try FilterListing()
        print(json ? Self.json(listing).indented + "\n" : listing.text, terminator: "")
    }

    private static func json(_ listing: FilterListing) -> JSON {
        [
            "instructions": JSON(listing.instructions), "other_architectures": .string("\(listing.foreignArchitecture)"),
            "x32": .string("\(listing.alternateInterface)"), "unknown_from": listing.unknownFrom.map { JSON(Int($0)) } ?? .null,
            "calls": .array(
                listing.entries.map { entry in
                    [
                        "number": JSON(Int(entry.number)), "name": .string(entry.name), "otherwise": .string("\(entry.otherwise)"),
                        "cases": .array(
                            entry.cases.map { path in
                                [
                                    "verdict": .string("\(path.verdict)"),
                                    "conditions": .array(path.conditions.map { .string($0.description) }),
                                ]
                            }),
                    ]
                }),
        ]
    }
}
