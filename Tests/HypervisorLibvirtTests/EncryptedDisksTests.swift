// SPDX-License-Identifier: Apache-2.0
import Compute
import HypervisorLibvirt
import Kernel
import Testing

/// Disks that the host encrypts, under real guests: what lies in files, descriptions and logs is for nobody to read.
@Suite(.serialized, .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd, QEMU and Open vSwitch's tools"))
struct EncryptedDisksTests {
    static let marker = "MARKER-of-a-guest-that-nobody-else-reads"

    /// A guest with a key for each of its disks; QEMU takes a second or more for each that it makes.
    static func guest(
        _ host: PrivateLibvirt, _ number: Int, _ secrets: FakeSecretStore, isFull: Bool = false
    ) async -> GuestSpec {
        var spec = host.spec(number)
        if isFull { (spec.ephemeralGiB, spec.swapMiB) = (1, 8) }
        for disk in ["root", "ephemeral0", "swap", "rescue"] { spec.diskKeys[disk] = await key(secrets) }
        return spec
    }

    static func key(_ secrets: FakeSecretStore) async -> String {
        let id = RandomIdentifiers().uuid()
        await secrets.keep(Array("passphrase-\(RandomIdentifiers().hex())".utf8), as: id)
        return id
    }

    static func image(_ file: String, key: String? = nil) -> ImageSource {
        var image = ImageSource(id: RandomIdentifiers().uuid(), checksum: "1", format: .qcow2) { path throws(Fault) in
            try Subprocess.check(["cp", file, path])
        }
        image.key = key
        return image
    }

    static func words(_ secrets: FakeSecretStore, _ key: String) async throws -> String {
        String(decoding: try await secrets.secret(key), as: UTF8.self)
    }

    static func opened(_ disk: String, _ passphrase: String) -> [String] {
        [
            "--object", "secret,id=s,data=\(passphrase)", "--image-opts",
            "driver=qcow2,encrypt.key-secret=s,file.driver=file,file.filename=\(disk)",
        ]
    }

    /// Writes the marker onto a disk as a guest would see it.
    static func mark(_ host: PrivateLibvirt, _ disk: String, _ passphrase: String) throws {
        let file = host.directory + "/words"
        try FileSystem.write(marker + String(repeating: " ", count: 512 - marker.utf8.count), to: file)
        try Subprocess.check(["qemu-io", "-c", "write -s \(file) 0 512"] + opened(disk, passphrase))
    }

    /// The first bytes of a disk as its guest sees them; nil with a wrong passphrase.
    static func beginning(_ disk: String, _ passphrase: String) throws -> String? {
        let output = try Subprocess.runBlocking(
            ["qemu-io", "-r", "-U", "-c", "read -v 0 64"] + opened(disk, passphrase), timeout: .seconds(60))
        let text = String(decoding: output.stdout, as: UTF8.self)
        guard output.status == 0, text.contains("read 64/64") else { return nil }
        return text.split(separator: "\n").compactMap { $0.split(separator: "  ").last }.joined()
    }

    /// Whether a text stands in any file below a folder.
    static func isWritten(_ text: String, below folder: String) throws -> Bool {
        try Subprocess.runBlocking(["grep", "-rqaF", "-e", text, folder], timeout: .seconds(120)).status == 0
    }

    @Test(
        "Nothing of a guest's disks can be read without their keys, and no key stands anywhere", .timeLimit(.minutes(5))
    )
    func secrecy() async throws {
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let hypervisor = host.hypervisor(secrets: secrets)
            #expect(try await hypervisor.resources().traits?.contains("COMPUTE_EPHEMERAL_ENCRYPTION_LUKS") == true)
            #expect(
                try await host.hypervisor().resources().traits?.contains("COMPUTE_EPHEMERAL_ENCRYPTION") == false)
            let base = host.directory + "/base.qcow2"
            try Subprocess.check(["qemu-img", "create", "-q", "-f", "qcow2", base, "16M"])
            let spec = await Self.guest(host, 1, secrets, isFull: true)
            try await hypervisor.boot(spec, image: Self.image(base))
            #expect(try await hypervisor.state(of: spec.server) == .running)
            let xml = try host.virsh("dumpxml", "--security-info", spec.server)
            for disk in ["root", "ephemeral0", "swap"] {
                let key = try #require(spec.diskKeys[disk])
                #expect(xml.contains("uuid='\(key)'"))
                let words = try await Self.words(secrets, key)
                #expect(!xml.contains(words) && !xml.contains(Base64.encode(Array(words.utf8))))
                // Nor in any file, of ours or of libvirt's, its logs included.
                #expect(try !Self.isWritten(words, below: host.directory))
                #expect(try !Self.isWritten(Base64.encode(Array(words.utf8)), below: host.directory))
                #expect(try Subprocess.runBlocking(["pgrep", "-f", words], timeout: .seconds(20)).status == 1)
            }
            try await hypervisor.power(spec.server, .stop)
            let folder = "\(host.data)/instances/\(spec.server)"
            #expect(
                FileSystem.list(folder).filter { $0.hasPrefix("disk") }.sorted() == [
                    "disk", "disk.config", "disk.eph0.luks", "disk.swap.luks",
                ])
            let root = try await Self.words(secrets, try #require(spec.diskKeys["root"]))
            try Self.mark(host, folder + "/disk", root)
            #expect(try Self.beginning(folder + "/disk", root)?.hasPrefix("MARKER") == true)
            #expect(try !Self.isWritten("MARKER-of", below: folder))
            #expect(try Self.beginning(folder + "/disk", "wrong") == nil)
            let swap = try await Self.words(secrets, try #require(spec.diskKeys["swap"]))
            #expect(try Self.beginning(folder + "/disk.swap.luks", swap) != nil)
            #expect(try Self.beginning(folder + "/disk.swap.luks", root) == nil, "each has a passphrase of its own")
            try await hypervisor.destroy(spec.server)
            #expect(try !host.virsh("secret-list").contains("apus-disk"))
        }
    }

    @Test("A daemon that forgot the passphrases is told again; with a wrong one the guest does not start")
    func keys() async throws {
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let hypervisor = host.hypervisor(secrets: secrets)
            let spec = await Self.guest(host, 1, secrets)
            try await hypervisor.boot(spec, image: nil)
            try await hypervisor.power(spec.server, .stop)
            await host.stopDaemon()
            try await host.startDaemon()
            #expect(try !host.virsh("secret-list").contains("apus-disk"), "it never wrote them down")
            try await hypervisor.power(spec.server, .start)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            try await hypervisor.power(spec.server, .rebootHard)
            try await hypervisor.power(spec.server, .suspend)
            try await hypervisor.power(spec.server, .resume)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            try await hypervisor.power(spec.server, .stop)

            let root = try #require(spec.diskKeys["root"])
            let right = try await secrets.secret(root)
            await secrets.forget(root)
            await #expect(throws: Fault.secretNotFound(root)) { try await hypervisor.power(spec.server, .start) }
            await secrets.keep(Array("another".utf8), as: root)
            await #expect(throws: Fault.self) { try await hypervisor.power(spec.server, .start) }
            #expect(try await hypervisor.state(of: spec.server) != .running)
            await secrets.forget(root)
            await secrets.keep(right, as: root)
            try await hypervisor.power(spec.server, .start)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test(
        "Images of a disk have a key of their own, from a running guest and from one that is down; others boot of them")
    func images() async throws {
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let hypervisor = host.hypervisor(secrets: secrets) { $0.forcesRawImages = true }
            let spec = await Self.guest(host, 1, secrets)
            try await hypervisor.boot(spec, image: nil)
            try await hypervisor.power(spec.server, .stop)
            let root = try await Self.words(secrets, try #require(spec.diskKeys["root"]))
            try Self.mark(host, "\(host.data)/instances/\(spec.server)/disk", root)
            var copies: [(file: String, key: String)] = []
            for change in [PowerChange.stop, .start] {
                try await hypervisor.power(spec.server, change)
                let (name, key) = (RandomIdentifiers().uuid(), await Self.key(secrets))
                await #expect(throws: Fault.self) {
                    try await hypervisor.takeSnapshot(name, of: spec.server, freeze: .none)
                }
                for _ in 1...2 {
                    try await hypervisor.takeSnapshot(name, of: spec.server, freeze: .none, key: key)
                }
                let file = "\(host.data)/snapshots/\(name)"
                let words = try await Self.words(secrets, key)
                #expect(try Self.beginning(file, words)?.hasPrefix("MARKER") == true)
                #expect(try Self.beginning(file, root) == nil)
                #expect(try !Self.isWritten("MARKER-of", below: host.data))
                copies.append((file, key))
            }
            for (number, copy) in copies.enumerated() {
                let other = await Self.guest(host, number + 2, secrets)
                try await hypervisor.boot(other, image: Self.image(copy.file, key: copy.key))
                try await hypervisor.power(other.server, .stop)
                let disk = "\(host.data)/instances/\(other.server)/disk"
                let words = try await Self.words(secrets, try #require(other.diskKeys["root"]))
                #expect(try Self.beginning(disk, words)?.hasPrefix("MARKER") == true)
                #expect(try !Self.isWritten("MARKER-of", below: host.data), "the image cache included")
                try await hypervisor.destroy(other.server)
            }
            var plain = host.spec(9)
            plain.nics = []
            await #expect(throws: Fault.self) {
                try await hypervisor.boot(plain, image: Self.image(copies[0].file, key: copies[0].key))
            }
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("They grow, are kept and restored, are rescued from another disk, and are made anew")
    func changes() async throws {
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let hypervisor = host.hypervisor(secrets: secrets)
            let spec = await Self.guest(host, 1, secrets, isFull: true)
            let (server, folder) = (spec.server, "\(host.data)/instances/\(spec.server)")
            let root = try await Self.words(secrets, try #require(spec.diskKeys["root"]))
            try await hypervisor.boot(spec, image: nil)
            try await hypervisor.power(server, .stop)
            try Self.mark(host, folder + "/disk", root)
            try await hypervisor.keepDisks(of: server)
            var bigger = spec
            (bigger.rootDiskGiB, bigger.ephemeralGiB, bigger.swapMiB) = (2, 2, 16)
            try await hypervisor.resize(bigger)
            for (disk, size) in [("disk", "2 GiB"), ("disk.eph0.luks", "2 GiB"), ("disk.swap.luks", "16 MiB")] {
                let told = try Subprocess.check(["qemu-img", "info", "\(folder)/\(disk)"])
                #expect(told.contains("virtual size: \(size)") && told.contains("format: luks"), "\(told)")
            }
            #expect(try Self.beginning(folder + "/disk", root)?.hasPrefix("MARKER") == true)
            try await hypervisor.power(server, .start)
            try await hypervisor.power(server, .stop)
            try await hypervisor.restoreDisks(spec)
            #expect(try Subprocess.check(["qemu-img", "info", folder + "/disk"]).contains("virtual size: 1 GiB"))

            try await hypervisor.rescue(spec, image: nil, with: GuestRescueDisk())
            #expect(try await hypervisor.state(of: server) == .running)
            let rescue = try #require(spec.diskKeys["rescue"])
            #expect(try host.virsh("dumpxml", server).contains(rescue))
            #expect(try Subprocess.check(["qemu-img", "info", "-U", folder + "/disk.rescue"]).contains("format: luks"))
            try await hypervisor.unrescue(spec)
            try await hypervisor.power(server, .start)
            #expect(try await hypervisor.state(of: server) == .running)

            try await hypervisor.rebuild(spec, image: nil, keepsEphemeral: true)
            try await hypervisor.power(server, .stop)
            #expect(try Self.beginning(folder + "/disk", root)?.hasPrefix("MARKER") == false)
            try await hypervisor.destroy(server)
            #expect(!FileSystem.exists(folder))
        }
    }

    @Test("They go to another host, guest down or running, and are encrypted there from the first byte")
    func moves() async throws {
        try await PrivateLibvirt.with { first async throws in
            try await PrivateLibvirt.with { second async throws in
                try LibvirtMigrationTests().cable(first, second)
                let secrets = FakeSecretStore()
                let here = first.hypervisor(address: "10.9.0.1", secrets: secrets)
                let there = second.hypervisor(address: "10.9.0.2", secrets: secrets)
                for (number, runs) in [(1, false), (2, true)] {
                    let spec = await Self.guest(first, number, secrets)
                    let server = spec.server
                    let root = try await Self.words(secrets, try #require(spec.diskKeys["root"]))
                    try await here.boot(spec, image: nil)
                    try await here.power(server, .stop)
                    try Self.mark(first, "\(first.data)/instances/\(server)/disk", root)
                    if runs { try await here.power(server, .start) }
                    let disks = try await here.disks(of: server)
                    if runs {
                        let place = try await there.expect(spec, disks: disks)
                        try await here.depart(server, to: place) { _ in }
                        try await there.arrive(spec, as: .running)
                        #expect(try await there.state(of: server) == .running)
                        try await there.power(server, .rebootHard)
                        try await there.power(server, .stop)
                    } else {
                        try await there.receive(spec, disks: disks)
                    }
                    let folder = "\(second.data)/instances/\(server)"
                    #expect(try Self.beginning(folder + "/disk", root)?.hasPrefix("MARKER") == true)
                    #expect(try !Self.isWritten("MARKER-of", below: second.data))
                    try await there.power(server, .start)
                    #expect(try await there.state(of: server) == .running)
                    try await here.destroy(server)
                    try await there.destroy(server)
                    for host in [first, second] {
                        #expect(try !host.virsh("secret-list").contains("apus-disk"))
                    }
                }
            }
        }
    }
}
