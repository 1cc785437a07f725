import CPosternSandbox
import PosternSandboxWire

/// The bound on what a workspace of Postern's own may hold. Its files belong to the session's user and can be given to nobody else, so that
/// the file system's quota of that user is the bound, where it keeps quotas.
enum DiskLimit {
    /// `nil` when `limits` has no such bound.
    static func set(_ workspace: SessionFolders.Folder, user: uid_t?, _ limits: SandboxLimits) -> LimitReport.Enforcement? {
        guard limits.diskBytes != nil || limits.inodes != nil else { return nil }
        guard let user else { return soft(limits) }
        let result = psb_set_user_quota(workspace.descriptor, user, UInt64(limits.diskBytes ?? 0), UInt64(limits.inodes ?? 0))
        return result == 0 ? .kernel("quota of user \(user)") : soft(limits)
    }

    static func soft(_ limits: SandboxLimits) -> LimitReport.Enforcement? {
        guard limits.diskBytes != nil || limits.inodes != nil else { return nil }
        return .soft("measured while programs run: the file system keeps no quota of users, or the folder is the user's own")
    }
}
