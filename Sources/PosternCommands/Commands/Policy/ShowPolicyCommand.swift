import ArgumentParser
import PosternJSON
import PosternPolicy

/// `postern sandbox policy show`
struct ShowPolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Print the policy that holds: profile, file and narrowing together.",
        discussion: "Example: postern sandbox policy show strict")

    @OptionGroup var options: PolicyOptions

    @Flag(name: .long, help: "Print JSON with the digest.")
    var json = false

    func run() async throws {
        let policy = try options.load().policy
        if json {
            Terminal().print(JSON.object(["type": "policy", "digest": .string(policy.digest), "policy": policy.json]).indented)
        } else {
            Terminal().put("# \(policy.digest)\n\(policy.yaml)")
        }
    }
}
