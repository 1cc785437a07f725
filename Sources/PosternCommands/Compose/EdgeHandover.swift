import CPosternSandbox
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What the control plane hands to the edge that it starts: through a memory file without a name, nothing of it in arguments or environment.
struct EdgeHandover: Sendable {
    /// The edge's own name.
    var domain: String
    /// PEM.
    var certificate: String
    /// PEM. A secret.
    var key: String
    /// Base URL.
    var controlPlane: String
    /// Of the role `edge`; it counts as long as the process lives. A secret.
    var apiKey: String
    var logFormat: String
    var logLevel: String
    var bounds = EdgeBounds()
    /// Whether a listening socket for its metrics is handed over.
    var servesMetrics = false

    /// Where the process finds what it is handed: the settings, the listening socket, the pipe that ends with who holds the other end, and the listening
    /// socket for metrics, if there is one.
    enum Descriptor {
        static let settings: Int32 = 3
        static let listener: Int32 = 4
        static let lifeline: Int32 = 5
        static let metrics: Int32 = 6
    }

    /// A descriptor to read it from.
    func file() throws(CommandError) -> Int32 {
        let file = psb_memory_file("edge")
        let bytes = JSON.object([
            "domain": .string(domain), "certificate": .string(certificate), "key": .string(key), "control_plane": .string(controlPlane),
            "api_key": .string(apiKey), "log_format": .string(logFormat), "log_level": .string(logLevel), "bounds": bounds.json,
            "metrics": .bool(servesMetrics),
        ]).encoded
        let written = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        guard file >= 0, written == bytes.count, lseek(file, 0, SEEK_SET) == 0 else {
            if file >= 0 { close(file) }
            throw CommandError(.failure, "the edge's settings cannot be handed over: \(String(cString: strerror(errno)))")
        }
        return file
    }

    /// What this process was handed; the descriptor is closed.
    static func received() throws(CommandError) -> EdgeHandover {
        defer { close(Descriptor.settings) }
        let json = try? JSON(parsing: SecretHandover.contents(Descriptor.settings))
        guard let domain = json?["domain"]?.string, let certificate = json?["certificate"]?.string, let key = json?["key"]?.string,
            let controlPlane = json?["control_plane"]?.string, let apiKey = json?["api_key"]?.string, let format = json?["log_format"]?.string,
            let level = json?["log_level"]?.string, let bounds = json?["bounds"].flatMap(EdgeBounds.init(json:)),
            let servesMetrics = json?["metrics"]?.bool
        else { throw CommandError(.configuration, "this command is for `postern serve --with-edge`, which starts it; run `postern edge`") }
        return EdgeHandover(
            domain: domain, certificate: certificate, key: key, controlPlane: controlPlane, apiKey: apiKey, logFormat: format, logLevel: level,
            bounds: bounds, servesMetrics: servesMetrics)
    }
}
