import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import ManagedAgentsAPI
import NIOCore
import PosternCore
import PosternTelemetry

/// What a request brings along from its connection.
struct ServerContext: InitializableFromSource, Sendable {
    let channel: any Channel
    let logger: Logger

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
        logger = source.logger
    }
}

/// Finds the route, checks who calls, runs the handler and turns every outcome into an answer with a request id.
struct APIResponder: HTTPResponder {
    let table: RouteTable
    let authenticator: Authenticator
    let configuration: ServerConfiguration
    let requests: Counter
    let durations: Histogram

    init(table: RouteTable, services: ServerServices, configuration: ServerConfiguration) {
        self.table = table
        self.configuration = configuration
        authenticator = Authenticator(keys: services.keys, work: services.work)
        requests = services.metrics.counter(
            "postern_http_requests_total", help: "Requests answered, by route and status.", labels: ["method", "route", "status"])
        durations = services.metrics.histogram(
            "postern_http_request_duration_seconds",
            help:
                "From the request's head to the answer's head, of a stream too. Polls of the work queue and of edges wait on purpose and are left out.",
            labels: ["method", "route"])
    }

    func respond(to request: Request, context: ServerContext) async -> Response {
        let start = ContinuousClock.now
        let id = ResourceID.make(.request)
        var routeName = "none"
        var response: Response
        var principal: Principal?
        do {
            response = try await answer(request, id, context, &routeName, &principal)
        } catch {
            response = error.response(requestID: error.namesRequest ? id : nil)
            if error.status >= 500 {
                context.logger.error("request failed", metadata: ["request": "\(id)", "route": "\(routeName)", "error": "\(error)"])
            }
            guard error.namesRequest else { return count(response, request, routeName, start) }
        }
        response.headers[.requestID] = id
        if let principal, !routeName.hasPrefix("/v1/environments") { response.headers[.workspaceID] = principal.workspaceID }
        return count(response, request, routeName, start)
    }

    private func answer(
        _ request: Request, _ id: String, _ context: ServerContext, _ routeName: inout String, _ caller: inout Principal?
    ) async throws(APIError) -> Response {
        try checkHead(request)
        let (route, parameters) = try table.find(request.method, request.uri.path)
        routeName = route.pattern
        var principal: Principal?
        if route.access != .open, !(route.access == .metrics && !configuration.metricsNeedKey) {
            let found = try await authenticator.principal(request.headers)
            try await authenticator.authorize(found, route.access, parameters, route: "\(route.method) \(route.pattern)")
            principal = found
            caller = found
        }
        let call = Call(
            id: id, request: request, parameters: parameters, query: Query(request.uri.query ?? "").only(route.query), principal: principal,
            channel: context.channel, logger: context.logger, maximumBodySize: configuration.maximumBodySize
        ) { [authenticator, isOpen = principal == nil] () async throws(APIError) in
            if isOpen { return }
            let found = try await authenticator.principal(request.headers)
            try await authenticator.authorize(found, route.access, parameters, route: "\(route.method) \(route.pattern)")
        }
        return try await route.handler(call).response()
    }

    private func checkHead(_ request: Request) throws(APIError) {
        var size = request.head.path?.utf8.count ?? 0
        for field in request.headers { size += field.name.rawName.utf8.count + field.value.utf8.count + 4 }
        guard size <= configuration.maximumHeaderSize else {
            throw APIError(
                431, .invalidRequest, "The request's address and headers exceed the maximum of \(configuration.maximumHeaderSize) bytes",
                shouldRetry: false)
        }
    }

    private func count(_ response: Response, _ request: Request, _ route: String, _ start: ContinuousClock.Instant) -> Response {
        // Methods are free text on the wire: only known ones become a label.
        let method = ["GET", "POST", "PUT", "DELETE"].contains(request.method.rawValue) ? request.method.rawValue : "other"
        requests.increment(labels: [method, route, String(response.status.code)])
        if !route.hasSuffix("/poll"), route != "/postern/v1/edge/tunnels" { durations.observe(ContinuousClock.now - start, labels: [method, route]) }
        return response
    }
}
