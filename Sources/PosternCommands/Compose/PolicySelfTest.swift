import PosternPolicy
import PosternSandbox
import PosternWorker

/// The self-test under the policies in force: one sandbox for each shape that they make, however many policies share it.
struct PolicySelfTest: Sendable {
    let driver: any SandboxDriver
    /// As the worker has them: they add to what is masked.
    let denials: MandatoryDenials

    /// What was found of one shape.
    struct Outcome: Sendable {
        var policies: [LoadedPolicy]
        /// A failure is that of a sandbox that could not be started or was lost.
        var report: Result<SelfTestReport, SandboxError>

        var names: [String] { policies.map(\.policy.name) }
        /// Why no session may be run under these policies; `nil` when all boundaries hold.
        var failure: String? {
            switch report {
            case .success(let report): report.holds ? nil : report.summary
            case .failure(let error): error.message
            }
        }
        var result: PolicyTestResult {
            if let failure { return .fails(reason: failure) }
            return .holds(layersOff: degraded.map(\.boundary))
        }
        var degraded: [SelfTestReport.Finding] { findings.filter { $0.verdict == .degraded } }
        var findings: [SelfTestReport.Finding] { (try? report.get())?.findings ?? [] }
    }

    /// Sandboxes tested side by side.
    private static let width = 4
    /// Longest test of one sandbox; what is not through by then is not known to hold.
    private static let patience = Duration.seconds(60)

    /// In the order of the policies.
    func run(_ policies: [LoadedPolicy]) async -> [Outcome] {
        var shapes: [SandboxShape] = []
        var users: [SandboxShape: [LoadedPolicy]] = [:]
        for loaded in policies {
            let shape = loaded.policy.sandboxShape(denials)
            if users[shape] == nil { shapes.append(shape) }
            users[shape, default: []].append(loaded)
        }
        return await withTaskGroup(of: (Int, Result<SelfTestReport, SandboxError>).self) { group in
            var reports: [Int: Result<SelfTestReport, SandboxError>] = [:]
            for (index, shape) in shapes.enumerated() {
                if index >= Self.width, let (done, report) = await group.next() { reports[done] = report }
                group.addTask { (index, await self.test(shape)) }
            }
            for await (done, report) in group { reports[done] = report }
            return shapes.enumerated().compactMap { index, shape in
                reports[index].map { Outcome(policies: users[shape] ?? [], report: $0) }
            }
        }
    }

    private func test(_ shape: SandboxShape) async -> Result<SelfTestReport, SandboxError> {
        await withTaskGroup(of: Result<SelfTestReport, SandboxError>?.self) { group in
            group.addTask {
                do throws(SandboxError) {
                    return .success(try await self.attack(shape))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                do { try await Task.sleep(for: Self.patience) } catch { return nil }
                return .failure(SandboxError(.lost, "the self-test was not through after \(Self.patience)"))
            }
            // The first word counts; the test that is cancelled kills its sandbox.
            let result = await group.next() ?? nil
            group.cancelAll()
            return result ?? .failure(SandboxError(.cancelled, "the self-test was cancelled"))
        }
    }

    private func attack(_ shape: SandboxShape) async throws(SandboxError) -> SelfTestReport {
        let scratch: ScratchFolder
        do throws(CommandError) { scratch = try ScratchFolder("postern-check") } catch { throw SandboxError(.unavailable, error.message) }
        defer { scratch.remove() }
        // So that another user who can see the host can see that a file is there.
        scratch.openForSearch()
        return try await SandboxSelfTest(driver: driver, folder: scratch.path, shape: shape).run()
    }
}
