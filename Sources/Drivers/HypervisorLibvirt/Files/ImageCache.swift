// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// A base image on the host, read-only and shared by every guest that was made from it.
struct BaseImage: Sendable, Hashable {
    let path: String
    /// `qcow2` or `raw`.
    let format: String
    let virtualSize: Int64
    /// An installation medium: put into the guest's drive instead of under its disk.
    let isMedium: Bool
    /// Whether disks are copies of it, with nothing of it underneath, instead of laid over it.
    var isCopied = false
}

/// Images by id and checksum, fetched once for however many boot. What is in the cache is complete and was looked at:
/// a file gets its name only then.
struct ImageCache: Sendable {
    private let directory: String
    /// Whether every image is kept as raw bytes, whatever it came as.
    private let forcesRaw: Bool
    private let pool: BlockingPool
    /// For digests of whole images, and conversions.
    private let longPool: BlockingPool
    private let log: Log
    private let turnstile = Turnstile()
    private let ids = RandomIdentifiers()

    init(directory: String, forcesRaw: Bool = false, pool: BlockingPool, longPool: BlockingPool, log: Log) {
        self.forcesRaw = forcesRaw
        self.directory = directory
        (self.pool, self.longPool) = (pool, longPool)
        self.log = log
    }

    func base(for image: ImageSource) async throws(Fault) -> BaseImage {
        // What is encrypted stays so: it is decrypted nowhere but in a guest.
        let forcesRaw = forcesRaw && image.key == nil
        let format = !forcesRaw && (image.format == .qcow2 || image.format.isConverted) ? "qcow2" : "raw"
        let name = Self.fileName(image.id) + "_" + Self.fileName(image.checksum) + "." + format
        let path = "\(directory)/\(name)"
        return try await turnstile.pass(name) { () async throws(Fault) in
            if let kept = try await look(path, image, format) { return kept }
            try await fetch(image, to: path)
            guard let fetched = try await look(path, image, format) else {
                throw .internalError("Image \(image.id) vanished from the cache while it was fetched.")
            }
            return fetched
        }
    }

    /// Whether an image is here, in whatever form it was last asked for.
    func has(_ id: String) async -> Bool {
        let (directory, prefix) = (directory, Self.fileName(id) + "_")
        let found = try? await pool.run { () throws(Fault) in
            FileSystem.list(directory).contains { $0.hasPrefix(prefix) }
        }
        return found ?? false
    }

    private func look(_ path: String, _ image: ImageSource, _ format: String) async throws(Fault) -> BaseImage? {
        try await pool.run { () throws(Fault) in
            guard FileSystem.exists(path) else { return nil }
            // Its time is when it was last asked for: what the cache is pruned by.
            utimensat(AT_FDCWD, path, nil, 0)
            let isMedium = image.format == .iso
            if case .qcow2(let size, _, _) = try DiskHeader.read(path), format == "qcow2" {
                return BaseImage(path: path, format: format, virtualSize: size, isMedium: isMedium)
            }
            guard format == "raw" else { throw .badRequest("Image \(image.id) is unacceptable: not a qcow2 image.") }
            return BaseImage(
                path: path, format: format, virtualSize: try FileSize.of(path), isMedium: isMedium)
        }
    }

    /// Fetches beside the cache's name; the leftovers of a fetch that was cut off have other names and do not matter.
    private func fetch(_ image: ImageSource, to path: String) async throws(Fault) {
        let part = "\(directory)/\(ids.hex()).part"
        try await pool.run { () throws(Fault) in try FileSystem.makeDirectory(directory) }
        do throws(Fault) {
            let watch = Stopwatch()
            try await image.fetch(part)
            try await longPool.run { () throws(Fault) in try settle(part, image, at: path) }
            log.info("fetched an image", ["image": image.id, "seconds": watch.elapsed.asSeconds])
        } catch {
            try? await pool.run { () throws(Fault) in FileSystem.remove(part) }
            throw error
        }
    }

    private func settle(_ part: String, _ image: ImageSource, at path: String) throws(Fault) {
        if let expected = image.size {
            let size = try FileSize.of(part)
            guard size == Int64(expected) else {
                throw .unavailable("Image \(image.id) came with \(size) bytes instead of \(expected).")
            }
        }
        try check(part, image)
        // A raw image is what the guest sees, whatever its first bytes say, and is only ever opened as raw.
        if image.format != .raw && image.format != .iso { try DiskHeader.read(part).refuseReferences(image: image.id) }
        var finished = part
        if image.format.isConverted || forcesRaw && image.format == .qcow2 && image.key == nil {
            let format = forcesRaw ? "raw" : "qcow2"
            finished = part + "." + format
            defer { FileSystem.remove(part) }
            do throws(Fault) {
                try Subprocess.check(
                    ["qemu-img", "convert", "-f", image.format.qemuName, "-O", format, part, finished],
                    timeout: .seconds(3600))
            } catch {
                FileSystem.remove(finished)
                throw .badRequest("Image \(image.id) is unacceptable: \(error.message)")
            }
        }
        chmod(finished, 0o444)
        guard rename(finished, path) == 0 else { throw SystemError.fault("Cannot keep image \(image.id)") }
    }

    /// The bytes must be those that Image has the digest of; how long it is tells which one.
    private func check(_ part: String, _ image: ImageSource) throws(Fault) {
        let algorithms: [Int: Digest.Algorithm] = [32: .md5, 64: .sha256, 128: .sha512]
        guard let algorithm = algorithms[image.checksum.utf8.count], image.checksum.allSatisfy(\.isHexDigit) else {
            return
        }
        let digest = Digest(algorithm)
        let file = try OpenFile.reading(part)
        var at = 0
        while true {
            let bytes = try file.read(at: at, count: 1 << 20)
            guard !bytes.isEmpty else { break }
            digest.update(bytes)
            at += bytes.count
        }
        let found = Hex.encode(digest.finish())
        guard found == image.checksum.lowercased() else {
            throw .unavailable("Image \(image.id) came with the digest \(found) instead of \(image.checksum).")
        }
    }

    /// Ids and checksums come from another service: whatever is not plain becomes `-`.
    private static func fileName(_ text: String) -> String {
        String(text.prefix(64).map { $0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "-" ? $0 : "-" })
    }

    /// Removes images, and leftovers of fetches that were cut off, which nobody has asked for since then and no disk
    /// stands on.
    func prune(
        unusedSince moment: Timestamp, used: @Sendable @escaping () -> Set<String>
    ) async throws(Fault) -> Int {
        try await pool.run { () throws(Fault) in
            let used = used()
            var pruned = 0
            for name in FileSystem.list(directory) {
                let path = "\(directory)/\(name)"
                var facts = stat()
                guard !used.contains(path), stat(path, &facts) == 0, facts.st_mtim.tv_sec < moment.seconds else {
                    continue
                }
                FileSystem.remove(path)
                log.info("dropped an image that nobody uses", ["file": name])
                pruned += 1
            }
            return pruned
        }
    }
}

extension ImageSource.Format {
    /// Formats that a guest's disk cannot stand on; they are turned into qcow2 once.
    fileprivate var isConverted: Bool {
        switch self {
        case .vmdk, .vdi, .vhd, .vhdx: true
        case .raw, .qcow2, .iso: false
        }
    }
    fileprivate var qemuName: String { self == .vhd ? "vpc" : rawValue }
}

/// Sizes of files.
enum FileSize {
    static func of(_ path: String) throws(Fault) -> Int64 {
        var facts = stat()
        guard stat(path, &facts) == 0 else { throw SystemError.fault("Cannot look at \(path)") }
        return Int64(facts.st_size)
    }
}
