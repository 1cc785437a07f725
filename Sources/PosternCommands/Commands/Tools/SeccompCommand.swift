import ArgumentParser
import PosternSandbox

/// `postern sandbox seccomp`
struct SeccompCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seccomp", abstract: "Print the system call filter of every sandbox as a table.",
        discussion: "It is decoded from the compiled filter: what is printed is what is installed. Example: postern sandbox seccomp | grep socket")

    func run() throws {
        print(try FilterListing().text, terminator: "")
    }
}
