// SPDX-License-Identifier: Apache-2.0
import Testing

/// STYLE.md as a test. Each failure says where, and what to do instead.
struct Tidy {
    private let repository = Repository.here

    private func check(_ rule: (SourceText) -> [Finding]) {
        report(repository.sources.flatMap(rule))
    }

    private func report(_ findings: [Finding]) {
        for finding in findings { Issue.record(Comment(rawValue: finding.description)) }
    }

    @Test("Tidy sees the repository")
    func sees() {
        #expect(repository.sources.contains { $0.path == "Tests/Tidy/Tidy.swift" })
        #expect(repository.map.kernel.first?.name == "Base" && repository.map.rooms.contains("Compute"))
        #expect(!repository.map.drivers.isEmpty && repository.map.shims.contains("CSQLite"))
    }

    @Test("Files have 400 lines at most") func fileLength() { check(ShapeRules.fileLength) }
    @Test("Lines have 120 columns at most") func lineLength() { check(ShapeRules.lineLength) }
    @Test("Functions have 60 lines at most") func functionLength() { check(ShapeRules.functionLength) }
    @Test("The licence line comes first, once") func licence() { check(ShapeRules.licenceLine) }
    @Test("Nothing is left to do without an issue number") func openEnds() { check(ShapeRules.openEnds) }
    @Test("Types have names that say something") func types() { check(NameRules.types) }
    @Test("Files have names that say something") func files() { check(NameRules.fileNames) }
    @Test("Imports point downwards") func imports() { check { ImportRules.imports($0, repository.map) } }
    @Test("Only the umbrella hands modules on") func exports() { check(ImportRules.exports) }
    @Test("Time, chance and environment are passed in") func outside() { check(ConductRules.outsideWorld) }
    @Test("Tasks belong to somebody") func tasks() { check(ConductRules.freeTasks) }
    @Test("Who switches a check off says who guarantees it") func sharing() { check(ConductRules.sharing) }
    @Test("A room never stops the process") func stopping() { check(ConductRules.stopping) }
    @Test("No folder is crowded")
    func crowded() { report(RoomRules.crowded(repository.sources.map(\.path).filter { $0.hasPrefix("Sources/") })) }
    @Test("Rooms keep to the floor plan") func plan() { report(repository.roomFiles.flatMap(RoomRules.floorPlan)) }

    @Test("Every resource is in its room's index")
    func index() { report(RoomRules.unlisted(repository.sources, rooms: repository.map.rooms)) }

    @Test("No exception excuses what is no longer there")
    func exceptions() {
        let paths = Set(repository.sources.map(\.path))
        let files = Array(Allowed.longFiles.keys) + Array(Allowed.outsideWorld.keys)
        for path in files where !paths.contains(path) { Issue.record("\(path) is gone: take it off Allowed.swift.") }
        for source in repository.sources where Allowed.longFiles[source.path] != nil {
            #expect(
                source.lineCount > ShapeRules.fileMax, "\(source.path) is short now: take it off Allowed.longFiles.")
        }
    }
}
