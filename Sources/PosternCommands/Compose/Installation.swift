#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Where the parts of Postern are on this machine.
enum Installation {
    /// The running program's own file.
    static var executable: String? {
        guard let resolved = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// `postern-init`: as the environment says, or beside `postern`.
    static func initPath(_ environment: [String: String]) -> String? {
        if let path = environment[Configuration.ReservedVariable.initPath.rawValue], !path.isEmpty { return TextFile.exists(path) ? path : nil }
        guard let executable, let slash = executable.lastIndex(of: "/") else { return nil }
        let path = executable[...slash] + "postern-init"
        return TextFile.exists(String(path)) ? String(path) : nil
    }
}
