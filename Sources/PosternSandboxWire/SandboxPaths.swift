/// The places inside every sandbox. Tools and the model see only these; no path of the host is ever shown.
package enum SandboxPaths {
    /// The session's working directory.
    package static let workspace = "/workspace"
    /// Where outputs too large for a result are kept. Outside the workspace; it outlives the sandbox.
    package static let toolOutputs = "/mnt/session/tool_outputs"
    package static let home = "/home/agent"
    /// Certificates that programs inside trust, where the proxy reads their TLS.
    package static let certificates = "/home/agent/.postern/ca-bundle.pem"
    /// The same for Java, as PKCS #12; the system's own store leads here.
    package static let javaCertificates = "/home/agent/.postern/cacerts"
    package static let initProgram = "/run/postern/init"
    /// The only user there is. Never 0.
    package static let userID = 1000
    package static let userName = "agent"
    /// Port on the sandbox's own loopback whose listener is handed out of the sandbox.
    package static let listenerPort: UInt16 = 3128
    /// The descriptor on which `postern-init` finds its control socket, in each of its modes.
    package static let controlDescriptor: Int32 = 3
}
