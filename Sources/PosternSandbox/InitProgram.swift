import Glibc
import PosternSandboxWire

/// Where `postern-init` is.
enum InitProgram {
    /// `POSTERN_INIT_PATH`, else beside the running program.
    static func path() throws(SandboxError) -> String {
        if let given = getenv("POSTERN_INIT_PATH") {
            let path = String(cString: given)
            guard path.hasPrefix("/"), access(path, X_OK) == 0 else {
                throw SandboxError(.unavailable, "POSTERN_INIT_PATH is '\(path)', which is not an executable file with an absolute path")
            }
            return path
        }
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let length = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
        }
        let own = String(decoding: buffer.prefix(max(0, length)), as: UTF8.self)
        let path = own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + "postern-init"
        guard access(String(path), X_OK) == 0 else {
            throw SandboxError(.unavailable, "postern-init is not beside the running program (\(path)); install it there or set POSTERN_INIT_PATH")
        }
        return String(path)
    }
}
