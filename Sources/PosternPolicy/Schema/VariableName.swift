/// Which variables of a sandbox a policy may set.
package enum VariableName {
    /// Of Postern and of the services that it serves: none of them is visible in a sandbox.
    package static let reservedPrefixes = ["ANTHROPIC_", "POSTERN_"]
    /// Variables by which a loader, a shell or a runtime runs other code before the program that was asked for.
    package static let loaders = [
        "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "NODE_OPTIONS", "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS",
        "GIT_SSH_COMMAND", "GCONV_PATH",
    ]
    /// Variables that point programs to the egress proxy: the proxy sets them.
    package static let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY"]

    package static func check(_ text: String) throws(PolicyValueError) {
        let isName = text.utf8.enumerated().allSatisfy { index, byte in
            byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z") || byte == UInt8(ascii: "_")
                || index > 0 && byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
        }
        guard (1...128).contains(text.utf8.count), isName else {
            throw PolicyValueError(value: text, rule: "must be the name of a variable: letters, digits and '_', no digit first, at most 128")
        }
        if let prefix = reservedPrefixes.first(where: { text.uppercased().hasPrefix($0) }) {
            throw PolicyValueError(
                value: text, rule: "begins with \(prefix), and no such variable is visible in a sandbox", remedy: "choose another name")
        }
        if loaders.contains(text) {
            throw PolicyValueError(value: text, rule: "makes programs load other code", remedy: "set it in the command that needs it")
        }
        if proxies.contains(text.uppercased()) {
            throw PolicyValueError(value: text, rule: "is set by Postern, which points it to the egress proxy", remedy: "leave it out")
        }
    }
}
