/// The way that one request takes, and who calls: both may change from one request to the next.
package struct TunnelPassage: Sendable {
    package var route: TunnelRoute
    package var credentials: TunnelCredentials

    package init(_ route: TunnelRoute, _ credentials: TunnelCredentials) {
        self.route = route
        self.credentials = credentials
    }
}
