import Glibc

/// Descriptors by which a new process gets into its control groups; see `psb_process`.
struct JoinedGroups {
    /// `tasks` of each group of version 1.
    var members: [Int32] = []
    /// The folder of the group of version 2, of which a machine has one hierarchy; 0 where there is none.
    var folder: Int32 = 0

    func close() {
        for descriptor in members + (folder > 0 ? [folder] : []) { Glibc.close(descriptor) }
    }
}
