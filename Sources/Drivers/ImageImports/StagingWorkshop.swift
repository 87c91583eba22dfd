// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Image
package import Kernel

/// Works on files of the staging folder with programs that are held short: so much memory, so much processor time, no
/// network, none of the cloud's open files.
package final class StagingWorkshop: ImageWorkshop {
    /// qemu-img's bounds, as upstream sets them: 1 GiB of address space is too little for its threads today.
    private static let memory = 2 << 30
    private static let patience = Duration.seconds(12 * 3600)
    private let folder: String
    private let pool: BlockingPool

    /// - Parameter folder: where the staging store keeps its files.
    package init(folder: String, threads: Int = 2) {
        self.folder = folder
        pool = BlockingPool(name: "image workshop", threads: threads, queue: 64)
    }

    package func location(_ name: String) -> String { "file://\(path(name))" }

    package func convert(
        _ source: String, from: String, to: String, into name: String
    ) async throws(Fault) {
        let formats = ["gpt": "raw", "vhd": "vpc"]
        let (input, output) = (try existing(source), path(name))
        FileSystem.remove(output)
        let tool = ["qemu-img", "convert", "-f", formats[from] ?? from, "-O", to, input, output]
        try await run(tool, cpu: 3600)
        guard FileSystem.exists(output) else { throw .badRequest("The image could not be converted to \(to).") }
    }

    package func decompress(_ source: String, into name: String, limit: Int) async throws(Fault) -> Bool {
        let (input, output) = (try existing(source), path(name))
        guard let packing = try await pool.run({ () throws(Fault) in Packing(of: input) }) else { return false }
        FileSystem.remove(output)
        try await pool.run { () throws(Fault) in try packing.unpack(input, to: output, limit: limit) }
        return true
    }

    /// Runs a program within its bounds; what it complains about is the image's fault.
    private func run(_ argv: [String], cpu seconds: Int) async throws(Fault) {
        let bounds = ["prlimit", "--as=\(Self.memory)", "--cpu=\(seconds)", "--core=0"]
        let alone = await hasNamespaces() ? ["unshare", "--net", "--"] : []
        let output = try await Subprocess.run(bounds + alone + argv, timeout: Self.patience, on: pool)
        guard output.status == 0 else {
            throw .badRequest("\(argv[0]) could not work on the image: \(output.complaint)")
        }
    }

    /// A user who may not make namespaces has the bounds without that one.
    private func hasNamespaces() async -> Bool { geteuid() == 0 }

    private func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// Of a location only the last step counts: none leads out of the folder.
    private func existing(_ location: String) throws(Fault) -> String {
        let path = path(String(location.split(separator: "/").last ?? ""))
        guard location.hasPrefix("file://"), FileSystem.exists(path) else { throw .notFound("Image data not found.") }
        return path
    }
}
