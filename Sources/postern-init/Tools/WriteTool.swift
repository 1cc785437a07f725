import Glibc
import PosternJSON
import PosternSandboxWire

extension FileTool {
    /// Section 8.4 of the tool contract.
    func write(_ input: JSON) throws(ToolFailure) -> ToolAnswer {
        let input = try ToolInput(tool: "write", input, allowed: ["file_path", "content"])
        let path = try input.path("file_path")
        let content = try input.string("content")
        let resolved = try roots.resolveForWriting("write", path)
        do throws(SystemFailure) {
            // Not O_TRUNC: first it must be sure that this is a regular file.
            let descriptor = try ToolRoots.open(resolved, O_WRONLY | O_CREAT, mode: 0o666, makingFolders: true)
            defer { close(descriptor) }
            guard let info = Posix.status(descriptor), Posix.isKind(info, S_IFREG) else { throw SystemFailure("open", ENXIO) }
            guard ftruncate(descriptor, 0) == 0, Posix.write(descriptor, Array(content.utf8)) else { throw SystemFailure("write") }
        } catch {
            // What a FIFO without reader, a socket or a device answers.
            if error.code == ENXIO { throw ToolFailure("write: \(path): not a regular file") }
            throw ToolFailure("write", path, code: error.code)
        }
        // The contract counts characters and calls them bytes.
        return ToolAnswer(text: "wrote \(content.unicodeScalars.count) bytes to \(path)")
    }

    /// Section 8.5 of the tool contract.
    func edit(_ input: JSON) throws(ToolFailure) -> ToolAnswer {
        let input = try ToolInput(tool: "edit", input, allowed: ["file_path", "old_string", "new_string", "replace_all"])
        let path = try input.path("file_path")
        let old = try input.string("old_string")
        let new = try input.string("new_string")
        let replaceAll = try input.optionalBool("replace_all") ?? false
        let resolved = try roots.resolveForWriting("edit", path)
        let (descriptor, size) = try openRegular("edit", path, resolved, O_RDWR)
        defer { close(descriptor) }
        let bytes = size > Self.textLimit ? nil : try contents("edit", path, descriptor, limit: Self.textLimit)
        guard let bytes, bytes.count <= Self.textLimit else {
            throw ToolFailure(
                "edit: \(path) is \(max(size, bytes?.count ?? 0)) bytes, exceeds \(Self.textLimit)-byte limit. "
                    + "The edit tool loads the whole file and cannot modify a file this large.")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw ToolFailure("edit: \(path): not valid UTF-8 text (cannot edit binary files)")
        }
        let (changed, count) = Replacement.replace(Array(old.utf8), in: bytes, with: Array(new.utf8))
        guard count > 0 else { throw ToolFailure("edit: old_string not found in \(path)") }
        guard count == 1 || replaceAll else { throw ToolFailure("edit: old_string appears \(count) times in \(path) (must be unique)") }
        // Longer first, shorter after: at no time is the file empty.
        guard lseek(descriptor, 0, SEEK_SET) == 0, Posix.write(descriptor, changed), ftruncate(descriptor, off_t(changed.count)) == 0 else {
            throw ToolFailure("edit", path, code: errno)
        }
        return ToolAnswer(text: "edited \(path) (\(count) replacement(s))")
    }
}

/// Exact, non-overlapping replacement in UTF-8 text. A value without I/O.
enum Replacement {
    /// The text with every match replaced, and how many there were. The empty string matches before each character and at the end.
    static func replace(_ old: [UInt8], in text: [UInt8], with new: [UInt8]) -> (text: [UInt8], count: Int) {
        var output: [UInt8] = []
        var count = 0
        guard let first = old.first else {
            for byte in text {
                if byte & 0xC0 != 0x80 {
                    output.append(contentsOf: new)
                    count += 1
                }
                output.append(byte)
            }
            return (output + new, count + 1)
        }
        var index = 0
        while index < text.count {
            if text[index] == first, text.count - index >= old.count, text[index..<index + old.count].elementsEqual(old) {
                output.append(contentsOf: new)
                count += 1
                index += old.count
            } else {
                output.append(text[index])
                index += 1
            }
        }
        return (output, count)
    }
}
