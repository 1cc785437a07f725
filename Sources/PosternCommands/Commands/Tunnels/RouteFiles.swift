import PosternConnector
import PosternPolicy

#if canImport(CoreFoundation)
// Where many files are compiled at once, `stat` counts as CoreFoundation's, which swift-certificates brings along.
import CoreFoundation
#endif

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What a route needs of this machine's files, looked at without starting anything.
enum RouteFiles {
    /// - Parameter own: the connector's files, which no server is shown.
    static func problems(of upstream: RouteUpstream, own: [String]) -> [String] {
        switch upstream {
        case .network: []
        case .socket(let path): kind(of: path) == S_IFSOCK ? [] : ["\(path) is no unix socket now: the route answers once its server listens there"]
        case .command(let settings):
            (settings.sandbox.files.read + settings.sandbox.files.write).map(\.description).compactMap { problem(of: $0, own) }
                + (settings.folder.flatMap { kind(of: $0) == S_IFDIR ? problem(of: $0, own) : "\($0) is no folder" }.map { [$0] } ?? [])
        }
    }

    private static func problem(of path: String, _ own: [String]) -> String? {
        guard kind(of: path) != nil else { return "\(path) is not there" }
        let place = TextFile.resolved(path)
        let inside = own.map(TextFile.resolved).first { $0 == place || $0.hasPrefix(place + "/") }
        return inside.map { "\(path) holds \($0), which is the connector's own: the server will not be started; name less" }
    }

    private static func kind(of path: String) -> mode_t? {
        var info = stat()
        return stat(path, &info) == 0 ? info.st_mode & S_IFMT : nil
    }
}
