import Glibc
import PosternJSON
import PosternSandboxWire

extension FileTool {
    private static let mostMatches = 50_000

    /// Section 8.6 of the tool contract, but every match is listed, offloaded when they are many.
    func glob(_ input: JSON) throws(ToolFailure) -> ToolAnswer {
        let input = try ToolInput(tool: "glob", input, allowed: ["pattern", "path"])
        let pattern = try input.string("pattern")
        guard !pattern.isEmpty else { throw ToolFailure("glob: pattern must not be empty") }
        guard !pattern.utf8.contains(0) else { throw ToolFailure("glob: pattern must not contain a NUL character") }
        guard !pattern.hasPrefix("/") else {
            throw ToolFailure("glob: absolute pattern not permitted; pass a relative pattern (and optionally path)")
        }
        let parts = pattern.split(separator: "/").map(String.init).filter { $0 != "." }
        guard !parts.contains("..") else { throw ToolFailure("glob: '..' is not permitted in the pattern") }
        let root = try roots.resolve("glob", try input.optionalPath("path") ?? roots.workspace)
        var search = GlobSearch(most: Self.mostMatches)
        search.expand(root.bytes, parts.map(GlobPart.init)[...])
        let base = root.bytes
        let inside = search.matches.filter { match in
            guard let canonical = Self.canonical(match) else { return false }
            return canonical == base || canonical.starts(with: base == [0x2F] ? base : base + [0x2F])
        }
        guard !inside.isEmpty else { return ToolAnswer(text: "no matches") }
        let dated = inside.map { path -> (path: [UInt8], seconds: Int, nanoseconds: Int) in
            let info = Posix.status(AT_FDCWD, path, follow: true) ?? Posix.status(AT_FDCWD, path, follow: false)
            return (path, info?.st_mtim.tv_sec ?? 0, info?.st_mtim.tv_nsec ?? 0)
        }
        let sorted = dated.sorted {
            ($0.seconds, $0.nanoseconds) == ($1.seconds, $1.nanoseconds)
                ? $0.path.lexicographicallyPrecedes($1.path) : ($0.seconds, $0.nanoseconds) > ($1.seconds, $1.nanoseconds)
        }
        var collector = OutputCollector(threshold: threshold, store: store, fileName: call, isTerminalOutput: false)
        for (index, match) in sorted.enumerated() { collector.append(index == 0 ? match.path : [0x0A] + match.path) }
        if search.isCut { collector.append(Array("\n[more than \(Self.mostMatches) matches; only these were looked at, narrow the pattern]".utf8)) }
        return ToolAnswer(collector.finish())
    }

    private static func canonical(_ path: [UInt8]) -> [UInt8]? {
        guard let real = Posix.withPath(path, { realpath($0, nil) }) else { return nil }
        defer { free(real) }
        return Array(UnsafeRawBufferPointer(start: real, count: strlen(real)))
    }
}

/// One part of a pattern, between slashes.
enum GlobPart {
    /// `**`: this folder and all below it.
    case anyDepth
    case name([UInt8])
    case wildcard(Wildcard)

    init(_ text: String) {
        if text == "**" {
            self = .anyDepth
        } else if text.contains(where: { "*?[".contains($0) }) {
            self = .wildcard(Wildcard(text))
        } else {
            self = .name(Array(text.utf8))
        }
    }
}

/// The walk of a pattern over a tree, by the rules of Python's `Path.glob`: hidden files match, `**` goes down folders only and
/// through no links.
struct GlobSearch {
    let most: Int
    private(set) var matches: [[UInt8]] = []
    private(set) var isCut = false
    private var seen: Set<[UInt8]> = []

    init(most: Int) {
        self.most = most
    }

    mutating func expand(_ folder: [UInt8], _ parts: ArraySlice<GlobPart>) {
        guard !isCut else { return }
        guard let part = parts.first else {
            add(folder)
            return
        }
        let rest = parts.dropFirst()
        switch part {
        case .name(let name):
            let path = Self.join(folder, name)
            guard let info = Posix.status(AT_FDCWD, path, follow: true) else { return }
            if rest.isEmpty || Posix.isKind(info, S_IFDIR) { expand(path, rest) }
        case .wildcard(let wildcard):
            for name in Self.names(folder) where wildcard.matches(name) {
                let path = Self.join(folder, name)
                if !rest.isEmpty {
                    guard let info = Posix.status(AT_FDCWD, path, follow: true), Posix.isKind(info, S_IFDIR) else { continue }
                }
                expand(path, rest)
            }
        case .anyDepth:
            guard let info = Posix.status(AT_FDCWD, folder, follow: true), Posix.isKind(info, S_IFDIR) else { return }
            var waiting = [folder]
            while let next = waiting.popLast(), !isCut {
                expand(next, rest)
                for name in Self.names(next) {
                    let path = Self.join(next, name)
                    if let info = Posix.status(AT_FDCWD, path, follow: false), Posix.isKind(info, S_IFDIR) { waiting.append(path) }
                }
            }
        }
    }

    private mutating func add(_ path: [UInt8]) {
        guard seen.insert(path).inserted else { return }
        if matches.count == most { isCut = true } else { matches.append(path) }
    }

    private static func join(_ folder: [UInt8], _ name: [UInt8]) -> [UInt8] { folder == [0x2F] ? folder + name : folder + [0x2F] + name }

    private static func names(_ folder: [UInt8]) -> [[UInt8]] {
        let descriptor = Posix.open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_NONBLOCK)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        return Posix.names(of: descriptor) ?? []
    }
}

/// `*`, `?`, `[abc]`, `[a-z]` and `[!abc]` over one file name, by characters.
struct Wildcard {
    private enum Piece {
        case any
        case one
        case literal(Unicode.Scalar)
        case set([ClosedRange<Unicode.Scalar>], negated: Bool)

        func accepts(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .any, .one: true
            case .literal(let own): own == scalar
            case .set(let ranges, let negated): ranges.contains { $0.contains(scalar) } != negated
            }
        }
    }
    private var pieces: [Piece] = []

    init(_ pattern: String) {
        let scalars = Array(pattern.unicodeScalars)
        var index = 0
        while index < scalars.count {
            switch scalars[index] {
            case "*":
                if case .any = pieces.last {} else { pieces.append(.any) }
            case "?": pieces.append(.one)
            case "[":
                if let (piece, end) = Self.set(scalars, from: index + 1) {
                    pieces.append(piece)
                    index = end
                } else {
                    pieces.append(.literal("["))
                }
            default: pieces.append(.literal(scalars[index]))
            }
            index += 1
        }
    }

    /// The set that starts behind a bracket, and where its closing bracket is; `nil` without one.
    private static func set(_ scalars: [Unicode.Scalar], from start: Int) -> (Piece, Int)? {
        var index = start
        let negated = index < scalars.count && scalars[index] == "!"
        if negated { index += 1 }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        let first = index
        while index < scalars.count, scalars[index] != "]" || index == first {
            if index + 2 < scalars.count, scalars[index + 1] == "-", scalars[index + 2] != "]" {
                if scalars[index] <= scalars[index + 2] { ranges.append(scalars[index]...scalars[index + 2]) }
                index += 3
            } else {
                ranges.append(scalars[index]...scalars[index])
                index += 1
            }
        }
        return index < scalars.count ? (.set(ranges, negated: negated), index) : nil
    }

    /// Linear in the product of the lengths, whatever the pattern.
    func matches(_ name: [UInt8]) -> Bool {
        let name = Array(String(decoding: name, as: UTF8.self).unicodeScalars)
        var piece = 0
        var position = 0
        var retry: (piece: Int, position: Int)?
        while position < name.count {
            if piece < pieces.count, case .any = pieces[piece] {
                retry = (piece + 1, position)
                piece += 1
            } else if piece < pieces.count, pieces[piece].accepts(name[position]) {
                piece += 1
                position += 1
            } else if let last = retry {
                retry = (last.piece, last.position + 1)
                piece = last.piece
                position = last.position + 1
            } else {
                return false
            }
        }
        return pieces[piece...].allSatisfy { if case .any = $0 { true } else { false } }
    }
}
