import Crypto
import PosternJSON
import PosternTunnelWire

/// The tools of a route that somebody has looked at, in a file of their own: a JSON object of tools and their definitions, as the server gave them.
/// In place of a definition its digest may stand.
package struct PinFile: Hashable, Sendable {
    package struct Pin: Hashable, Sendable {
        package var digest: ToolDigest
        /// `nil` where the file has the digest alone.
        package var definition: JSON?
    }

    /// By tool.
    package var pins: [String: Pin] = [:]

    package init() {}

    /// Throws for what is no such file; the message names the tool.
    package init(_ text: String) throws(ConnectorError) {
        let json: JSON
        do throws(JSONParseError) {
            json = try JSON(parsing: Array(text.utf8), options: .init(rejectsLoneSurrogates: true))
        } catch {
            throw ConnectorError("it is no JSON: \(error)")
        }
        guard let object = json.object, object.count <= ToolCatalogue.most else {
            throw ConnectorError("it must be a JSON object of at most \(ToolCatalogue.most) tools and their definitions")
        }
        for (tool, value) in object {
            guard RPCMessage.isToolName(tool) else {
                throw ConnectorError("\"\(tool.prefix(80))\" is no name of a tool: at most \(RPCMessage.longestTool) of printable ASCII")
            }
            switch value {
            case .string(let text):
                guard let digest = ToolDigest(text) else {
                    throw ConnectorError("the pin of \"\(tool)\" must be the tool's definition, or sha256: and 64 hexadecimal digits in lower case")
                }
                pins[tool] = Pin(digest: digest)
            case .object:
                // Copied under another name it would pin what nobody has looked at as that.
                guard value["name"]?.string.map({ $0.utf8.elementsEqual(tool.utf8) }) == true else {
                    throw ConnectorError("the definition of \"\(tool)\" is that of another tool")
                }
                pins[tool] = Pin(digest: ToolDigest(of: value), definition: value)
            default: throw ConnectorError("the pin of \"\(tool)\" must be its definition or a digest, not \(value.kind)")
            }
        }
    }

    /// As it is written: sorted by tool.
    package var json: JSON {
        .object(JSONObject(pins.sorted { $0.key < $1.key }.map { ($0.key, $0.value.definition ?? .string($0.value.digest.description)) }))
    }

    // MARK: What a server shows now

    /// What became of one tool.
    package enum Change: Hashable, Sendable {
        case new(JSON)
        /// With what the file has of it.
        case changed(JSON, before: JSON?)
        case gone
    }

    /// What is not as it was pinned, by tool.
    /// - Parameter only: the tools that are asked for; `nil`: all of them.
    package func changes(_ list: ToolPins, only: Set<String>?) -> [(tool: String, change: Change)] {
        var changes: [(tool: String, change: Change)] = []
        for pin in list.pins where only?.contains(pin.tool) != false {
            guard let before = pins[pin.tool] else {
                changes.append((pin.tool, .new(pin.definition)))
                continue
            }
            if before.digest != pin.digest { changes.append((pin.tool, .changed(pin.definition, before: before.definition))) }
        }
        let seen = Set(list.pins.map(\.tool))
        for tool in pins.keys.sorted() where !seen.contains(tool) && only?.contains(tool) != false { changes.append((tool, .gone)) }
        return changes
    }

    package mutating func take(_ changes: [(tool: String, change: Change)]) {
        for (tool, change) in changes {
            switch change {
            case .new(let definition), .changed(let definition, _): pins[tool] = Pin(digest: ToolDigest(of: definition), definition: definition)
            case .gone: pins[tool] = nil
            }
        }
    }
}

extension ConnectorConfiguration {
    /// Reads the files of pins that policies name. Until then such a policy lets no tool be called.
    /// - Parameter read: gives a file's text; `nil` where there is none.
    package mutating func readPins(_ read: (_ path: String) throws -> String?) throws {
        var texts: [UInt8] = []
        for (name, route) in routes.sorted(by: { $0.key < $1.key }) {
            guard var policy = route.policy, let file = policy.pinsFile else { continue }
            let key = "routes.\(name).policy.tools.pins: \(file)"
            guard let text = try read(file) else {
                throw ConnectorError("\(key) is not there: `postern connector pin --config FILE \(name)` makes it")
            }
            do throws(ConnectorError) { policy.use(try PinFile(text)) } catch { throw ConnectorError("\(key): \(error)") }
            routes[name]?.policy = policy
            texts += Array("\(name)\n\(text.utf8.count)\n\(text)".utf8)
        }
        // The record of what is in force names all that decides.
        if !texts.isEmpty { digest = "sha256:" + Hexadecimal.text(SHA256.hash(data: Array(digest.utf8) + texts)) }
    }
}

extension RoutePolicy {
    fileprivate mutating func use(_ file: PinFile) {
        pins = file.pins.mapValues(\.digest)
        if allowsPinned { allowPinned() }
    }
}
