/// Certificates that end while a test watches, on a machine of any speed.
enum Lifetime {
    /// What `begin` comes to with a certificate of so many seconds; where the certificate was over before that, with one of twice as many, and so on
    /// for five tries. The last failure is the test's.
    static func long<Running>(
        from seconds: Double, isolation: isolated (any Actor)? = #isolation, _ begin: (Double) async throws -> Running
    ) async throws -> Running {
        var seconds = seconds
        for _ in 0..<4 {
            do { return try await begin(seconds) } catch { seconds *= 2 }
        }
        return try await begin(seconds)
    }
}
