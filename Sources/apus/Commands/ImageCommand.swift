// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// `apus image metadefs`: the catalogue of metadata definitions, in and out of the cloud that the environment names.
enum ImageCommand {
    private static let usage = """
        apus image: say
          apus image metadefs load FOLDER|FILE [--existing skip|merge|prefer-new|overwrite]
          apus image metadefs unload all|FOLDER|FILE
          apus image metadefs export FOLDER
        """

    static func run(_ words: [String]) async throws(Fault) {
        guard words.count >= 3, words[0] == "metadefs" else { throw .badRequest(usage) }
        let (verb, path) = (words[1], words[2])
        let flags = try Flags(Array(words.dropFirst(3)), known: verb == "load" ? ["existing"] : [])
        switch verb {
        case "load":
            let word = try flags.choice("existing", ["skip", "merge", "prefer-new", "overwrite"])
            let meetings: [String: MetadefCatalog.Meeting] = [
                "merge": .merge, "prefer-new": .preferNew, "overwrite": .overwrite,
            ]
            try await load(path, meetings[word] ?? .skip)
        case "unload": try await unload(path)
        case "export": try await export(path)
        default: throw .badRequest(usage)
        }
    }

    private static func load(_ path: String, _ meeting: MetadefCatalog.Meeting) async throws(Fault) {
        let documents = try read(path)
        let catalog = try await open()
        for (file, document) in documents {
            Terminal.say("\(try await catalog.load(document, meeting).rawValue.padded(8)) \(file)")
        }
    }

    private static func unload(_ path: String) async throws(Fault) {
        let named = path == "all" ? nil : try read(path).compactMap { $0.1["namespace"]?.string }
        let catalog = try await open()
        let names: [String]
        if let named { names = named } else { names = try await catalog.names() }
        for name in names { Terminal.say("\(try await catalog.unload(name).rawValue.padded(8)) \(name)") }
    }

    private static func export(_ folder: String) async throws(Fault) {
        let catalog = try await open()
        try FileSystem.makeDirectory(folder)
        for name in try await catalog.names() {
            let (file, document) = try await catalog.export(name)
            try FileSystem.write(document.text(pretty: true) + "\n", to: "\(folder)/\(file)", mode: 0o644)
            Terminal.say("\(name) -> \(folder)/\(file)")
        }
    }

    /// The definitions of a file, or of every `.json` file in a folder.
    private static func read(_ path: String) throws(Fault) -> [(String, JSON)] {
        let names = FileSystem.list(path).filter { $0.hasSuffix(".json") }.sorted()
        let files = FileSystem.isDirectory(path) ? names.map { "\(path)/\($0)" } : [path]
        guard !files.isEmpty else { throw .badRequest("there are no .json files in \(path)") }
        return try files.mapping { file throws(Fault) in
            guard let bytes = FileSystem.read(file) else { throw .badRequest("\(file) cannot be read") }
            do throws(JSONError) {
                return (file, try JSON.parse(bytes, limits: .trusted))
            } catch {
                throw .badRequest("\(file): \(error.message) at byte \(error.offset)")
            }
        }
    }

    private static func open() async throws(Fault) -> MetadefCatalog {
        let cloud = try await RemoteCloud(try .environment(), over: HTTPClient(threads: 1))
        return MetadefCatalog { method, path, body async throws(Fault) in
            try await cloud.call("image", method, path, body)
        }
    }
}
