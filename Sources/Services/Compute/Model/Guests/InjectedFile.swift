// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A file that a server was given when it was made or rebuilt (`personality`, until 2.57). It lies on the server's
/// config drive, `meta_data.json` names it; a server without that drive has no use for it, as upstream's has not.
struct InjectedFile: Record {
    static let table = "compute_injected_files"

    let serverID: String
    let position: Int
    let path: String
    /// As it came, in base64.
    let contents: String

    static let migration: Migration = """
        2026-11-30 compute injected files
        CREATE TABLE compute_injected_files (
            server_id VARCHAR(36) NOT NULL, position INTEGER NOT NULL, path TEXT NOT NULL, contents TEXT NOT NULL,
            PRIMARY KEY (server_id, position))
        """

    static func of(_ server: String, _ database: Database) async throws(Fault) -> [InjectedFile] {
        try await database.all(InjectedFile.self, "server_id = \(server) ORDER BY position")
    }

    static func forget(_ server: String, _ transaction: Transaction) throws(Fault) {
        _ = try transaction.delete(InjectedFile.self, "server_id = \(server)")
    }

    /// Where it lies on the drive, below `openstack`.
    var drivePath: String {
        "content/" + String(repeating: "0", count: max(0, 4 - "\(position)".count)) + "\(position)"
    }
}

/// Files as asked for, not a server's yet.
struct InjectedFiles: Sendable {
    private let files: [(path: String, contents: String)]

    /// Takes the member of that name where the version has it.
    init(_ body: inout Body, _ request: Request) throws(Fault) {
        guard request.version < "2.57" else {
            files = []
            return
        }
        files =
            try body.takeObjects("personality")?.mapping { file throws(Fault) in
                var file = file
                let path = try file.need("path", .text(0...Int.max))
                let contents = try file.need("contents", .text(0...Int.max))
                try file.end()
                guard Base64.decode(contents) != nil else {
                    throw file.refuse("contents", nil, "'\(contents.prefix(40))' is not a 'base64'")
                }
                return (path, contents)
            } ?? []
    }

    /// Refuses more files, longer ones or longer names than the project may give a server.
    func admit(_ quota: Quota, _ project: String, _ transaction: Transaction) throws(Fault) {
        guard !files.isEmpty else { return }
        let limits = quota.options
        func require(_ resource: String, _ amount: Int, _ refusal: (Int) -> String) throws(Fault) {
            let most = try limits.limit(resource, project, transaction)
            try quota.require(
                resource, used: 0, more: amount, of: project, transaction, or: .forbidden(refusal(most)))
        }
        try require("injected_files", files.count) { _ in "Personality file limit exceeded" }
        try require("injected_file_path_bytes", files.map(\.path.utf8.count).max() ?? 0) {
            "Personality file path exceeds maximum \($0)"
        }
        try require("injected_file_content_bytes", files.map(\.contents.utf8.count).max() ?? 0) {
            "Personality file content exceeds maximum \($0)"
        }
    }

    /// Makes them a server's, in place of what it had.
    func give(to server: String, _ transaction: Transaction) throws(Fault) {
        try InjectedFile.forget(server, transaction)
        guard !files.isEmpty else { return }
        try transaction.insert(
            files.enumerated().map {
                InjectedFile(serverID: server, position: $0, path: $1.path, contents: $1.contents)
            })
    }
}
