#if os(Linux)
import CPosternSandbox
#endif

/// The heap of a process that passes bytes on.
enum RelayHeap {
    /// What may stay free at its end, bytes.
    private static let free: Int32 = 8 << 20
    /// Larger pieces are mapped and given back by themselves, bytes.
    private static let mapped: Int32 = 4 << 20

    /// By itself glibc gives memory back as soon as a few hundred KiB are free, and takes it anew, page by page, for the next buffer of a transfer: a
    /// good part of an edge's time went there in a download (`docs/benchmarks.md`).
    static func keepSomeFree() {
        #if os(Linux)
        psb_keep_heap(free, mapped)
        #endif
    }
}
