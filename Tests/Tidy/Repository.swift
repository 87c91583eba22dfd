// SPDX-License-Identifier: Apache-2.0
import Base

/// The repository that this test was compiled from.
struct Repository {
    let sources: [SourceText]
    /// Every file below Sources/Services, also what is not Swift.
    let roomFiles: [String]
    let map: PackageMap

    /// Read once; a Tidy run looks at it many times.
    static let here = Repository(root: root())

    init(root: String) {
        let paths = Repository.files(root, "Sources") + Repository.files(root, "Tests")
        sources = paths.filter { $0.hasSuffix(".swift") }.map {
            SourceText(path: $0, text: FileSystem.text("\(root)/\($0)") ?? "")
        }
        roomFiles = paths.filter { $0.hasPrefix("Sources/Services/") }
        map = PackageMap(FileSystem.text("\(root)/Package.swift") ?? "")
    }

    private static func root(_ file: String = #filePath) -> String {
        file.split(separator: "/").dropLast(3).reduce(into: "") { $0 += "/\($1)" }
    }

    private static func files(_ root: String, _ folder: String) -> [String] {
        FileSystem.list("\(root)/\(folder)").sorted().flatMap { name in
            name.hasPrefix(".")
                ? []
                : FileSystem.isDirectory("\(root)/\(folder)/\(name)")
                    ? files(root, "\(folder)/\(name)") : ["\(folder)/\(name)"]
        }
    }
}

/// What Package.swift says of the layers: one target per line, as its helpers are called.
struct PackageMap {
    /// A target's name and what it may use, in the order of the file.
    private(set) var kernel: [(name: String, uses: [String])] = []
    private(set) var drivers: [(name: String, uses: [String])] = []
    private(set) var rooms: [String] = []
    private(set) var shims: [String] = []

    init(_ manifest: String) {
        for line in manifest.split(separator: "\n") where !line.hasPrefix("func") {
            for call in line.split(separator: ")") {
                guard let open = call.firstIndex(of: "(") else { continue }
                let texts = call[open...].split(separator: "\"").enumerated().filter { $0.offset % 2 == 1 }
                    .map { String($0.element) }
                guard let name = texts.first else { continue }
                switch call[..<open].drop(while: { $0 == " " || $0 == "," }) {
                case "kernel": kernel.append((name, Array(texts.dropFirst())))
                case "driver": drivers.append((name, Array(texts.dropFirst())))
                case "room": rooms.append(name)
                case "shim": shims.append(name)
                default: break
                }
            }
        }
    }
}

/// Something to mend: where, and what to do instead.
struct Finding: CustomStringConvertible {
    let path: String
    let line: Int
    let advice: String

    init(_ source: SourceText, _ line: Int, _ advice: String) {
        self.init(source.path, line, advice)
    }

    init(_ path: String, _ line: Int, _ advice: String) {
        self.path = path
        self.line = line
        self.advice = advice
    }

    var description: String { "\(path):\(line): \(advice)" }
}
