// SPDX-License-Identifier: Apache-2.0
import Image
import ImageFiles
import ImageImports
import Kernel
import Simulation
import Testing

/// The drivers behind imports, with real files, programs and sockets.
struct ImageImportsTests {
    private func folder() throws -> String { try FileSystem.makeTemporaryDirectory("image-imports") }

    private func place(_ bytes: [UInt8], _ folder: String, _ name: String = "source") throws -> String {
        try FileSystem.write(bytes, to: "\(folder)/\(name)")
        return "file://\(folder)/\(name)"
    }

    private func run(_ script: String, in folder: String) async throws {
        let pool = BlockingPool(name: "test", threads: 1, queue: 8)
        let output = try await Subprocess.run(
            ["sh", "-c", "cd \(folder) && \(script)"], timeout: .seconds(60), on: pool)
        #expect(output.status == 0, "\(output.complaint)")
    }

    @Test("gzip files, of several members too, and zip archives of one file are unpacked")
    func unpacked() async throws {
        let folder = try folder()
        defer { FileSystem.remove(folder) }
        let workshop = StagingWorkshop(folder: folder)
        let bytes = [UInt8](repeating: 7, count: 700_000) + [1, 2, 3]
        _ = try place(bytes, folder, "plain")
        try await run("gzip -c plain > g && gzip -c plain >> g", in: folder)
        try await run(
            "python3 -c \"import zipfile; zipfile.ZipFile('z','w',zipfile.ZIP_DEFLATED).write('plain')\"", in: folder)
        #expect(try await workshop.decompress("file://\(folder)/g", into: "g.out", limit: 1 << 30))
        #expect(FileSystem.read("\(folder)/g.out") == bytes + bytes)
        #expect(try await workshop.decompress("file://\(folder)/z", into: "z.out", limit: 1 << 30))
        #expect(FileSystem.read("\(folder)/z.out") == bytes)
        #expect(try await !workshop.decompress("file://\(folder)/plain", into: "p.out", limit: 1 << 30))
    }

    @Test("Archives that are broken, too large or hold several files are refused")
    func refused() async throws {
        let folder = try folder()
        defer { FileSystem.remove(folder) }
        let workshop = StagingWorkshop(folder: folder)
        _ = try place([UInt8](repeating: 0, count: 100_000), folder, "plain")
        try await run(
            "gzip -c plain > g && head -c 60 g > short && python3 -c \"import zipfile; "
                + "z=zipfile.ZipFile('two','w'); z.write('plain'); z.write('g')\"", in: folder)
        for (name, limit) in [("short", 1 << 30), ("g", 99_999), ("two", 1 << 30)] {
            await #expect(throws: Fault.self) {
                try await workshop.decompress("file://\(folder)/\(name)", into: "out", limit: limit)
            }
        }
        let broken = try place([0x50, 0x4b, 3, 4] + [UInt8](repeating: 0, count: 60), folder)
        await #expect(throws: Fault.self) { try await workshop.decompress(broken, into: "out", limit: 1 << 30) }
    }

    @Test("An import converts what came compressed, and the image is what the operator wants", .enabled(if: hasQEMU))
    func converted() async throws {
        let folder = try folder()
        defer { FileSystem.remove(folder) }
        var imports = ImportOptions()
        imports.plugins = [.decompression, .conversion]
        imports.outputFormat = "qcow2"
        let cloud = try await ImportCloud(
            isMulti: false, imports: imports, workshop: StagingWorkshop(folder: folder),
            staged: try FileImageStore(folder: folder))
        _ = try place([UInt8](repeating: 3, count: 1 << 20), folder, "plain")
        try await run("gzip plain", in: folder)
        cloud.web.put("http://h/x.gz", .bytes(try #require(FileSystem.read("\(folder)/plain.gz"))))
        FileSystem.remove("\(folder)/plain.gz")
        let id = await cloud.image.make()
        let shown = try await cloud.download(id, "http://h/x.gz")
        let task = await cloud.task(id)
        #expect(shown["status"].string == "active", "\(task["message"]?.string ?? "")")
        #expect(shown["disk_format"].string == "qcow2")
        #expect(shown["virtual_size"].integer == 1 << 20)
        let bytes = await cloud.image.download(id).bytes
        #expect(Array(bytes.prefix(4)) == [0x51, 0x46, 0x49, 0xfb])
        #expect(shown["checksum"].string == Hex.encode(Digest.bytes(.md5, bytes)))
        #expect(FileSystem.list(folder).isEmpty)
    }

    static let hasQEMU = Subprocess.locate("qemu-img") != nil

    @Test("Addresses that are not public are refused when the connection begins, by name as well")
    func addresses() async throws {
        let web = WebImages(reachesPrivate: false)
        for url in ["http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/", "http://169.254.169.254/"] {
            do throws(Fault) {
                _ = try await web.open(url, headers: []) { _ in true }
                Issue.record("\(url) was reached")
            } catch {
                #expect(error.status == 400, "\(url): \(error)")
                #expect(error.message.contains("must not be reached"), "\(url): \(error)")
            }
        }
        let open = WebImages(reachesPrivate: true)
        await #expect(throws: Fault.self) { try await open.open("http://127.0.0.1:9/", headers: []) { _ in true } }
    }
}
