// SPDX-License-Identifier: Apache-2.0

/// Rules on rooms: the floor plan, and the index that lists everything.
enum RoomRules {
    static let folders: Set<String> = ["Resources", "Model", "Operations", "Agents", "Ports"]

    /// `Sources/Services/Room/Folder/File.swift`, or the index and the README beside the folders.
    static func floorPlan(_ path: String) -> [Finding] {
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count > 3 else { return [Finding(path, 1, "a file belongs in a room: Sources/Services/<Room>/.")] }
        let room = parts[2]
        if parts.count == 4 {
            guard ["\(room).swift", "README.md"].contains(parts[3]) else {
                return [
                    Finding(
                        path, 1, "only \(room).swift and README.md stand beside the folders; this goes into \(plan).")
                ]
            }
            return []
        }
        guard folders.contains(parts[3]) else {
            return [Finding(path, 1, "a room has no folder '\(parts[3])'; this goes into \(plan).")]
        }
        guard parts.count <= 6 else { return [Finding(path, 1, "a room's folders are parted once, by topic.")] }
        return []
    }

    /// Folders of which nobody sees the whole any more: such a one is parted by topic.
    static func crowded(_ paths: [String]) -> [Finding] {
        let folders = Dictionary(grouping: paths) { $0.split(separator: "/").dropLast().joined(separator: "/") }
        return folders.filter { $0.value.count > filesMax }.map { folder, files in
            Finding(
                files.min() ?? folder, 1,
                "\(folder) has \(files.count) files, \(filesMax) at most: part it by topic, one level deep.")
        }
    }

    static let filesMax = 40

    private static let plan =
        "Resources (API nouns), Model (values and rules), Operations (long work), Agents (loops) or Ports (protocols)"

    /// Each type that conforms to Resource, and where.
    static func resources(_ source: SourceText) -> [(name: String, line: Int)] {
        ["struct ", "enum ", "class ", "extension "].flatMap { keyword in
            source.places(of: keyword).compactMap { place in
                let start = place + keyword.utf8.count
                let head = source.code[start...].prefix { $0 != UInt8(ascii: "{") }
                let parts = String(decoding: head, as: UTF8.self).split(separator: ":", maxSplits: 1)
                guard parts.count == 2 else { return nil }
                let conformances = parts[1].split(whereSeparator: { !$0.isLetter })
                guard conformances.contains("Resource"), let name = parts[0].split(separator: " ").first else {
                    return nil
                }
                return (String(name), source.line(at: place))
            }
        }
    }

    static func unlisted(_ sources: [SourceText], rooms: [String]) -> [Finding] {
        rooms.flatMap { room in
            let own = sources.filter { $0.path.hasPrefix("Sources/Services/\(room)/") }
            let index = own.first { $0.fileName == "\(room).swift" }
            return own.flatMap { source in
                resources(source).filter { index?.places(of: "\($0.name).self").isEmpty != false }.map {
                    Finding(
                        source, $0.line,
                        "\($0.name) is not in the index: add `\($0.name).self` to \(room)/\(room).swift.")
                }
            }
        }
    }
}
