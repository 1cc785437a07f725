import ManagedAgentsAPI
import ManagedAgentsClient

/// Checks of the control plane's address: does it answer, and do the clocks agree.
enum ServiceChecks {
    static func all(baseURL: String, caFile: String?, proxy: String?) async -> [Finding] {
        let transport: AsyncHTTPTransport
        do {
            let url = try BaseURL(baseURL)
            transport = try .toControlPlane(url, caFile: caFile, proxy: url.isLoopback ? nil : proxy.map { try Proxy($0) })
        } catch {
            return [.missing("base URL", baseURL, "\(error)")]
        }
        let findings = await check(transport, baseURL)
        await transport.shutdown()
        return findings
    }

    private static func check(_ transport: AsyncHTTPTransport, _ baseURL: String) async -> [Finding] {
        let request = ClientRequest(method: .get, target: "/healthz", headers: ["accept": "*/*"], body: [], timeout: .seconds(10))
        do {
            let response = try await transport.send(request)
            _ = try? await response.body.collect(upTo: 1 << 16)
            // Any answer will do: other services have no /healthz.
            return [.good("base URL", "\(baseURL) answers"), clock(response.headers["date"])].compactMap { $0 }
        } catch {
            return [.missing("base URL", "\(baseURL): \(error)", "start the server, or set POSTERN_BASE_URL; behind a proxy set HTTPS_PROXY")]
        }
    }

    private static func clock(_ header: String?) -> Finding? {
        guard let theirs = header.flatMap(HTTPDate.unixTime) else { return nil }
        let skew = Timestamp.now().microseconds / 1_000_000 - theirs
        let detail = "\(abs(skew)) s from the server's"
        return abs(skew) <= 30 ? .good("clock", detail) : .limited("clock", detail, "run a time service: leases and certificates depend on the clock")
    }
}
