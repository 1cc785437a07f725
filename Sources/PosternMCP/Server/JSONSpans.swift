import PosternJSON

/// Where the parts of a JSON text stand in it, so that a few bytes of a message can be replaced and all others stay as they came. For texts that
/// `JSON(parsing:)` has taken: what is no JSON has no spans that mean anything.
enum JSONSpans {
    /// The members of the object that is the value in `range`; none where it is no object.
    static func members(_ bytes: [UInt8], in range: Range<Int>) -> [(key: String, value: Range<Int>)] {
        var members: [(key: String, value: Range<Int>)] = []
        var position = range.lowerBound
        skipSpace(bytes, &position, range.upperBound)
        guard position < range.upperBound, bytes[position] == UInt8(ascii: "{") else { return [] }
        position += 1
        while true {
            skipSpace(bytes, &position, range.upperBound)
            guard position < range.upperBound, bytes[position] == UInt8(ascii: "\"") else { return members }
            let start = position
            skipValue(bytes, &position, range.upperBound)
            let key = (try? JSON(parsing: bytes[start..<position]))?.string ?? ""
            skipSpace(bytes, &position, range.upperBound)
            position += 1
            members.append((key, value(bytes, &position, range.upperBound)))
            skipSpace(bytes, &position, range.upperBound)
            guard position < range.upperBound, bytes[position] == UInt8(ascii: ",") else { return members }
            position += 1
        }
    }

    /// The elements of the array that is the value in `range`; `nil` where it is no array.
    static func elements(_ bytes: [UInt8], in range: Range<Int>) -> [Range<Int>]? {
        var position = range.lowerBound
        skipSpace(bytes, &position, range.upperBound)
        guard position < range.upperBound, bytes[position] == UInt8(ascii: "[") else { return nil }
        var elements: [Range<Int>] = []
        repeat {
            position += 1
            skipSpace(bytes, &position, range.upperBound)
            guard position < range.upperBound, bytes[position] != UInt8(ascii: "]") else { break }
            elements.append(value(bytes, &position, range.upperBound))
            skipSpace(bytes, &position, range.upperBound)
        } while position < range.upperBound && bytes[position] == UInt8(ascii: ",")
        return elements
    }

    private static func value(_ bytes: [UInt8], _ position: inout Int, _ end: Int) -> Range<Int> {
        skipSpace(bytes, &position, end)
        let start = min(position, end)
        skipValue(bytes, &position, end)
        return start..<max(start, min(position, end))
    }

    private static func skipSpace(_ bytes: [UInt8], _ position: inout Int, _ end: Int) {
        while position < end, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
    }

    /// Up to the end of a text, a structure, or a number or word.
    private static func skipValue(_ bytes: [UInt8], _ position: inout Int, _ end: Int) {
        var depth = 0
        while position < end {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                while position < end, bytes[position] != UInt8(ascii: "\"") { position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1 }
                position += 1
                if depth == 0 { return }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                // Of what stands around the value.
                if depth == 0 { return }
                depth -= 1
                if depth == 0 {
                    position += 1
                    return
                }
            case UInt8(ascii: ","), 0x20, 0x0A, 0x0D, 0x09: if depth == 0 { return }
            default: break
            }
            position += 1
        }
    }
}
