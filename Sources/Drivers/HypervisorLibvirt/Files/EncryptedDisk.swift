// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Disks that QEMU encrypts: LUKS within qcow2, so that what was never written takes no room. Everything here blocks
/// and runs on the pool.
enum EncryptedDisk {
    typealias Passphrase = [UInt8]

    private static let chance = RandomIdentifiers()
    /// Passphrases are chance already: to derive a key from them slowly protects nothing.
    private static func style(_ secret: String) -> String {
        "encrypt.format=luks,encrypt.key-secret=\(secret),encrypt.iter-time=10,encrypt.hash-alg=sha512"
    }

    /// An empty disk, or one laid over a plain image.
    static func create(_ path: String, bytes: Int64, _ passphrase: Passphrase, on base: BaseImage? = nil) throws(Fault)
    {
        let below = base.map { ["-b", $0.path, "-F", $0.format] } ?? []
        try run(
            "create", ["new": passphrase], ["-f", "qcow2", "-o", style("new")] + below + [path, "\(bytes)"],
            timeout: .seconds(300))
    }

    /// A disk of its own with what a plain file holds.
    static func copy(plain: String, format: String, to path: String, _ passphrase: Passphrase) throws(Fault) {
        try run(
            "convert", ["new": passphrase], ["-f", format, "-O", "qcow2", "-o", style("new"), plain, path],
            timeout: .seconds(7200))
    }

    /// A disk of its own with what an encrypted one holds; between the two nothing is written down.
    static func copy(
        _ disk: String, _ passphrase: Passphrase, to path: String, _ other: Passphrase
    ) throws(Fault) {
        try run(
            "convert", ["old": passphrase, "new": other],
            ["--image-opts", "-O", "qcow2", "-o", style("new"), opened(disk, "old"), path], timeout: .seconds(7200))
    }

    static func resize(_ disk: String, _ passphrase: Passphrase, bytes: Int64) throws(Fault) {
        try run(
            "resize", ["old": passphrase], ["--image-opts", opened(disk, "old"), "\(bytes)"], timeout: .seconds(300))
    }

    private static func opened(_ path: String, _ secret: String) -> String {
        let name = path.replacing(",", with: ",,")
        return "driver=qcow2,encrypt.key-secret=\(secret),file.driver=file,file.filename=\(name)"
    }

    /// Command lines are for everybody to read: passphrases stand there encrypted with a key that goes through a pipe
    /// and is used once.
    private static func run(
        _ verb: String, _ secrets: [String: Passphrase], _ arguments: [String], timeout: Duration
    ) throws(Fault) {
        let master = chance.bytes(32)
        var argv = ["qemu-img", verb, "-q", "--object", "secret,id=master,format=base64,file=/dev/stdin"]
        for (name, passphrase) in secrets.sorted(by: { $0.key < $1.key }) {
            let vector = chance.bytes(16)
            let sealed = try BlockCipher.encrypt(passphrase, key: master, vector: vector)
            argv += [
                "--object",
                "secret,id=\(name),keyid=master,format=base64,iv=\(base64(vector)),data=\(base64(sealed))",
            ]
        }
        argv += arguments
        let input = Array(base64(master).utf8)
        // QEMU measures the processor before it encrypts, and gives up where its clock is too coarse for that.
        for attempt in 1... {
            let output = try Subprocess.runBlocking(argv, input: input, timeout: timeout)
            if output.status == 0 { return }
            guard attempt < 50, output.complaint.contains("accurate CPU usage") else {
                throw .internalError("'qemu-img \(verb)' of an encrypted disk failed: \(output.complaint)")
            }
        }
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        var text = Base64.encode(bytes)
        while text.utf8.count % 4 != 0 { text += "=" }
        return text
    }
}

/// The passphrases of a guest's encrypted disks by the disks' names, and that of the image they are made from.
struct DiskPassphrases: Sendable {
    var disks: [String: EncryptedDisk.Passphrase] = [:]
    var image: EncryptedDisk.Passphrase?

    static let none = DiskPassphrases()
}

extension GuestFiles {
    /// Under which name a disk's secret is known; nil of files that are never encrypted.
    static func keyName(ofFile name: some StringProtocol) -> String? {
        switch name {
        case "disk": "root"
        case "disk.rescue": "rescue"
        case "disk.eph0.luks": "ephemeral0"
        case "disk.eph1.luks": "ephemeral1"
        case "disk.eph2.luks": "ephemeral2"
        case "disk.swap.luks": "swap"
        default: nil
        }
    }
}

extension XMLElement {
    /// The secrets that a domain's own disks are encrypted with, by id, under the disks' names.
    var diskKeys: [String: String] {
        var keys: [String: String] = [:]
        for disk in self["devices"]?.all("disk") ?? [] {
            guard let file = disk["source"]?.attributes["file"]?.split(separator: "/").last,
                let name = GuestFiles.keyName(ofFile: file),
                let id = (disk["source", "encryption"] ?? disk["encryption"])?["secret"]?.attributes["uuid"]
            else { continue }
            keys[name] = id
        }
        return keys
    }
}
