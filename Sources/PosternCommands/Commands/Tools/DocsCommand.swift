import ArgumentParser
import PosternPolicy

/// `postern docs`: pages that are made from the code. For contributors, so it is hidden.
struct DocsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docs", abstract: "Print a page of the documentation that is made from the code.", shouldDisplay: false)

    enum Page: String, ExpressibleByArgument, CaseIterable {
        case configuration, policy, hardening
        case policySchema = "policy-schema"
    }

    @Argument(help: "The page.")
    var page: Page

    func run() async throws {
        switch page {
        case .configuration: Terminal().put(ConfigurationReference.page)
        case .policy: Terminal().put(PolicyReference.page)
        case .hardening: Terminal().put(HardeningPage.text)
        case .policySchema: Terminal().print(PolicySchema.jsonSchema.indented)
        }
    }
}
