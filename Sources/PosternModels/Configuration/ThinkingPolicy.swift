/// Whether the provider asks the model to think before it answers.
package enum ThinkingPolicy: String, Sendable, CaseIterable {
    /// As much as the model itself finds right, where `GET /v1/models/{id}` says that the model can decide this.
    case automatic
    /// The same, without asking what the model can do.
    case adaptive
    /// Nothing is said about it; the service's default holds.
    case unset
}
