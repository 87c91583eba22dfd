// SPDX-License-Identifier: Apache-2.0
import Testing

/// Each rule catches what it is for, and lets pass what it is not for.
struct TidyRuleTests {
    private func source(_ text: String, _ path: String = "Sources/Kernel/HTTP/A.swift") -> SourceText {
        SourceText(path: path, text: text)
    }

    private let map = PackageMap(
        """
        func kernel(_ name: String) {}
                shim("CSQLite", apt: "x"),
                kernel("Base", "CLinux"),
                kernel("JSON", "Base", "Late"),
                kernel("Late"),
                room("Image"), room("Compute"),
                driver("HypervisorLibvirt", "Compute", "CLibvirt"),
                driver("Engines"),
        """)

    @Test("Comments and texts are no code, interpolations are")
    func scrubbing() {
        let text = """
            let a = "Task { \\(Task { "x" }) )" // Task {
            /* Task { /* nested */ Task { */ let b = #"\\(Task {"#
            let c = ""\"
              Task { " "" \\(d)
              ""\"
            """
        let found = source(text).places(of: "Task {")
        #expect(found.count == 1)
        #expect(source(text).line(at: found[0]) == 1)
        #expect(source(text).code(line: 4).contains("d"))
    }

    @Test("A function's lines are counted from its first to its last; a requirement has none")
    func functions() {
        let text = """
            protocol P {
                func none()
                init(x: Int)
            }
            struct S {
                func one(_ body: (Int) -> Void = { _ in }) -> Int {
                    if true { 1 } else { 2 }
                }
                init(
                    a: Int
                ) {
                    self.init(a)
                }
            }
            """
        let found = ShapeRules.functions(source(text))
        #expect(found.map(\.name) == ["one", "init"] && found.map(\.lines) == [3, 5])
    }

    @Test("Lengths are held")
    func lengths() {
        let long = String(repeating: "x\n", count: 401)
        #expect(ShapeRules.fileLength(source(long)).count == 1)
        #expect(ShapeRules.fileLength(source(String(long.dropLast(2)))).isEmpty)
        let wide = String(repeating: "é", count: 120)
        #expect(ShapeRules.lineLength(source(wide)).isEmpty)
        #expect(ShapeRules.lineLength(source("a\n\(wide)é\n")).map(\.line) == [2])
        let body = String(repeating: "    x()\n", count: 59)
        #expect(ShapeRules.functionLength(source("func f() {\n\(body)}\n")).count == 1)
        #expect(ShapeRules.functionLength(source("func f() {\n\(body.dropLast(8))}\n")).isEmpty)
    }

    @Test(
        "Names are split into words, and some words are refused",
        arguments: [
            ("struct VolumeManager {}", 1), ("final class HTTPInfo {}", 1), ("enum DataRow {}", 1),
            ("actor BaseStore {}", 1),
            ("protocol AbstractThing {}", 1), ("typealias PathUtils = Int", 1), ("struct Metadata {}", 0),
            ("enum Base64 {}", 0),
            ("struct Database {}", 0), ("struct Informed {}", 0), ("struct UserData {}", 0), ("// struct XManager", 0),
        ])
    func names(text: String, count: Int) {
        #expect(NameRules.types(source(text)).count == count)
    }

    @Test("A file is not named Utils")
    func fileNames() {
        #expect(NameRules.fileNames(source("", "Sources/A/Utils.swift")).count == 1)
        #expect(NameRules.fileNames(source("", "Sources/A/ListHelpers.swift")).count == 1)
        #expect(NameRules.fileNames(source("", "Sources/A/VolumeTypes.swift")).isEmpty)
    }

    @Test(
        "Imports point downwards",
        arguments: [
            ("Sources/Services/Image/A.swift", "Kernel", true), ("Sources/Services/Image/A.swift", "Clients", true),
            ("Sources/Services/Image/A.swift", "Compute", false), ("Sources/Services/Image/A.swift", "JSON", false),
            ("Sources/Services/Image/A.swift", "CSQLite", false), ("Sources/Services/Image/A.swift", "Engines", false),
            ("Sources/Services/Image/A.swift", "Synchronization", true),
            ("Sources/Services/Image/A.swift", "Foundation", false),
            ("Sources/Drivers/HypervisorLibvirt/A.swift", "Compute", true),
            ("Sources/Drivers/HypervisorLibvirt/A.swift", "Image", false),
            ("Sources/Drivers/HypervisorLibvirt/A.swift", "Engines", false),
            ("Sources/Drivers/HypervisorLibvirt/A.swift", "CSQLite", true),
            ("Sources/Kernel/JSON/A.swift", "Base", true), ("Sources/Kernel/JSON/A.swift", "Late", false),
            ("Sources/Kernel/Base/A.swift", "JSON", false), ("Sources/Kernel/Base/A.swift", "CLinux", true),
            ("Sources/Kernel/Base/A.swift", "Image", false), ("Sources/Clients/A.swift", "Image", false),
            ("Sources/apus/A.swift", "Image", true), ("Tests/ATests/A.swift", "Image", true),
        ])
    func imports(path: String, module: String, allowed: Bool) {
        for line in ["import \(module)", "package import \(module)", "@preconcurrency internal import \(module)"] {
            #expect(ImportRules.imports(source(line, path), map).isEmpty == allowed)
        }
        #expect(ImportRules.imports(source("// import \(module)", path), map).isEmpty)
    }

    @Test(
        "The outside world is reached through what was passed in",
        arguments: [
            ("let t = Date()", 1), ("UUID().uuidString", 1), ("Int.random(in: 0...1)", 1), ("getenv(\"A\")", 1),
            ("Int.random(in: 0...1, using: &dice)", 0), ("Fernet.random(32)", 0), ("all.shuffled(using: &dice)", 0),
            ("MyDate()", 0), ("\"Date()\"", 0),
            ("try await Task.sleep(for: x)", 1),
        ])
    func outsideWorld(text: String, count: Int) {
        #expect(ConductRules.outsideWorld(source(text)).count == count)
        #expect(ConductRules.outsideWorld(source(text, "Sources/Kernel/Base/A.swift")).isEmpty)
    }

    @Test("Tasks outside the structure are found; groups are not meant")
    func tasks() {
        #expect(ConductRules.freeTasks(source("Task { }\nTask.detached { }\nTask(priority: .low) { }")).count == 3)
        #expect(ConductRules.freeTasks(source("group.addTask { }\nwithTaskGroup { }\nlet t: Task<Int, Never>")).isEmpty)
        #expect(ConductRules.freeTasks(source("Task { }", "Sources/apus/Main.swift")).isEmpty)
    }

    @Test("Sharing without a check needs a word on who guarantees it")
    func sharing() {
        #expect(ConductRules.sharing(source("/// A box.\nfinal class A: @unchecked Sendable {}")).count == 1)
        #expect(ConductRules.sharing(source("/// Guarded by `lock`.\nfinal class A: @unchecked Sendable {}")).isEmpty)
        #expect(ConductRules.sharing(source("nonisolated(unsafe) var x = 0")).count == 1)
    }

    @Test("The licence line, open ends, exports and stops are found")
    func rest() {
        #expect(ShapeRules.licenceLine(source("import A")).count == 1)
        #expect(ShapeRules.licenceLine(source("\(ShapeRules.licence)\nimport A")).isEmpty)
        #expect(ShapeRules.openEnds(source("// TODO: later\n// TODO #12: later\nlet TODOs = 1")).map(\.line) == [1])
        #expect(ImportRules.exports(source("@_exported import A")).count == 1)
        #expect(ConductRules.stopping(source("fatalError()", "Sources/Services/Image/Image.swift")).count == 1)
        #expect(ConductRules.stopping(source("fatalError()")).isEmpty)
    }

    @Test("Rooms have a floor plan, and indexes list resources")
    func rooms() {
        for path in [
            "Image.swift", "README.md", "Resources/Images.swift", "Resources/More/Images.swift", "Ports/Store.swift",
        ] {
            #expect(RoomRules.floorPlan("Sources/Services/Image/\(path)").isEmpty)
        }
        for path in ["Faults.swift", "Handlers/Images.swift", "Resources/More/Still/Images.swift"] {
            #expect(RoomRules.floorPlan("Sources/Services/Image/\(path)").count == 1)
        }
        let many = (0...RoomRules.filesMax).map { "Sources/Kernel/Base/\($0).swift" }
        #expect(RoomRules.crowded(many).count == 1)
        #expect(RoomRules.crowded(Array(many.dropFirst())).isEmpty)
        let noun = source(
            "struct Picture: Record {}\nextension Picture: Resource {}", "Sources/Services/Image/Resources/A.swift")
        let empty = source("let x = [Picture]()", "Sources/Services/Image/Image.swift")
        let full = source("let x = [Picture.self]", "Sources/Services/Image/Image.swift")
        #expect(RoomRules.unlisted([noun, empty], rooms: ["Image"]).map(\.line) == [2])
        #expect(RoomRules.unlisted([noun, full], rooms: ["Image"]).isEmpty)
    }
}
