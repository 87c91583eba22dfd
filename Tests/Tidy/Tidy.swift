// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The habits of STYLE.md that a machine can watch. A failure names the file, the line and what to do instead.
@Suite("Tidy")
struct Tidy {
    /// Files that may be longer than 400 lines, each with its reason.
    static let longFiles: [String: String] = [:]
    static let functionMax = 60, fileMax = 400

    static let files = Sources.read()
    static let swift = files.filter { $0.path.hasSuffix(".swift") }

    @Test("Every Swift file begins with its licence")
    func licence() {
        for file in Self.swift where file.path != "Package.swift" {
            #expect(file.lines.first == "// SPDX-License-Identifier: Apache-2.0", "\(file.path): first line")
        }
    }

    @Test("A file is short enough to be read whole")
    func fileLength() {
        for file in Self.swift where Self.longFiles[file.path] == nil {
            #expect(file.lines.count <= Self.fileMax, "\(file.path): \(file.lines.count) lines; split it by noun")
        }
    }

    @Test("A function is short enough to be seen at once")
    func functionLength() {
        for file in Self.swift {
            for function in file.functions where function.length > Self.functionMax {
                Issue.record("\(file.path):\(function.line): \(function.length) lines; give its parts names")
            }
        }
    }

    @Test("No file has a name that says nothing")
    func fileNames() {
        let empty = ["Utils", "Util", "Common", "Helpers", "Helper", "Misc", "Types", "Manager"]
        for file in Self.swift {
            let name = file.path.split(separator: "/").last?.dropLast(6) ?? ""
            #expect(!empty.contains(String(name)), "\(file.path): name it after what it holds")
        }
    }

    @Test("Nothing is left for later without an issue's number", arguments: ["TO" + "DO", "FIX" + "ME", "XX" + "X:"])
    func leftovers(word: String) {
        for (file, number, line) in Self.everyLine where line.contains(word) && !line.contains(word + "(#") {
            Issue.record("\(file.path):\(number): \(word) needs an issue's number, as \(word)(#12)")
        }
    }

    @Test("Time, chance and the environment are passed in")
    func ambient() {
        let banned = ["Date()", "UUID()", ".random(", "getenv(", "Task.detached", "DispatchQueue", "DispatchSemaphore"]
        for (file, number, line) in Self.everyLine where file.path.hasPrefix("Sources/Services/") {
            for word in banned where line.contains(word) && !line.trimmed.hasPrefix("//") {
                Issue.record("\(file.path):\(number): \(word): take it from the request or the site")
            }
        }
    }

    @Test("Imports go down the layers and never sideways")
    func imports() {
        for (file, number, line) in Self.everyLine {
            guard let layer = Layer(file.path), let module = line.importedModule else { continue }
            guard let why = layer.objection(to: module) else { continue }
            Issue.record("\(file.path):\(number): import \(module): \(why)")
        }
    }

    @Test("A room has the folders of the floor plan and no others")
    func floorPlan() {
        let plan: Set = ["Resources", "Model", "Operations", "Agents", "Ports"]
        for file in Self.swift where file.path.hasPrefix("Sources/Services/") {
            let parts = file.path.split(separator: "/").map(String.init)
            let room = parts[2]
            if parts.count == 4 {
                #expect(parts[3] == room + ".swift", "\(file.path): only the index lies in the room itself")
            } else {
                #expect(plan.contains(parts[3]), "\(file.path): no such folder in the floor plan")
            }
        }
    }

    @Test("A document has one title")
    func titles() {
        for file in Self.files where file.path.hasSuffix(".md") {
            var fenced = false
            var titles = 0
            for line in file.lines {
                if line.hasPrefix("```") { fenced.toggle() }
                if !fenced && line.hasPrefix("# ") { titles += 1 }
            }
            #expect(titles == 1, "\(file.path): \(titles) titles")
        }
    }

    @Test("Every test that PROMISES.md names is there")
    func promises() throws {
        let page = try #require(Self.files.first { $0.path == "PROMISES.md" })
        let paths = Set(Self.files.map(\.path))
        for line in page.lines where line.hasPrefix("|") {
            for word in line.split(separator: "`") where word.hasPrefix("Tests/") {
                #expect(paths.contains(String(word)), "PROMISES.md: \(word) is not there")
            }
        }
    }

    static var everyLine: [(Source, Int, String)] {
        swift.flatMap { file in file.lines.enumerated().map { (file, $0.offset + 1, $0.element) } }
    }
}

/// Where a file stands, and whom it may therefore import.
enum Layer {
    case kernel, clients, room(String), driver, shim

    static let rooms: Set = ["Identity", "Image", "Placement", "Network", "Compute"]

    init?(_ path: String) {
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count > 2, parts[0] == "Sources" else { return nil }
        switch parts[1] {
        case "Kernel": self = .kernel
        case "Clients": self = .clients
        case "Services": self = .room(parts[2])
        case "Drivers": self = .driver
        case "C": self = .shim
        default: return nil
        }
    }

    func objection(to module: String) -> String? {
        let isRoom = Self.rooms.contains(module)
        let isShim = module.hasPrefix("C") && module.dropFirst().first?.isUppercase == true
        switch self {
        case .kernel where isRoom || module == "Clients": return "the kernel knows no service"
        case .clients where isRoom || isShim: return "clients know the kernel only"
        case .room(let own) where isRoom && module != own: return "rooms meet through Clients"
        case .room where isShim || ["Glibc", "Foundation"].contains(module): return "a room asks the kernel"
        default: return nil
        }
    }
}
