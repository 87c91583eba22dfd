// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
import Kernel
import Testing

struct FakeHypervisorTests {
    static func spec(_ number: Int = 1) -> GuestSpec {
        GuestSpec(
            server: RandomIdentifiers().uuid(), instanceName: GuestSpec.instanceName(number), title: "web",
            vcpus: 2, memoryMiB: 512, rootDiskGiB: 10)
    }

    @Test("The fake is a hypervisor", .timeLimit(.minutes(1)), arguments: HypervisorConformance.allCases)
    func conformance(_ part: HypervisorConformance) async throws {
        try await part.run(on: FakeHypervisor(), Self.spec(), image: nil)
    }

    @Test("It rebuilds, rescues and copies guests", arguments: GuestLifeConformance.allCases)
    func life(_ part: GuestLifeConformance) async throws {
        try await part.run(on: FakeHypervisor(), Self.spec(), image: nil)
    }

    @Test("An instance's name is its number in eight hexadecimal digits")
    func name() {
        #expect(GuestSpec.instanceName(42) == "instance-0000002a")
        #expect(GuestSpec.instanceName(0x1_2345_6789) == "instance-123456789")
    }

    @Test("A tap is named after the first eleven characters of its port")
    func tap() {
        let nic = GuestNIC(portID: "8c2a9f1e-0d3b-4c57-9a11-2f6c1f7b9d10", mac: "fa:16:3e:00:00:01", mtu: 1442)
        #expect(nic.tap == "tap8c2a9f1e-0d")
    }

    @Test("A guest's description survives being stored")
    func stored() throws {
        var spec = Self.spec()
        spec.nics = [GuestNIC(portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:00:01", mtu: 1442)]
        spec.configDrive = ConfigDrive(files: ["openstack/latest/user_data": [0, 0xFF, 0x0A]])
        spec.origin.createdAt = Timestamp("2026-11-20T10:00:00Z")
        let stored = try JSON.encode(spec)
        #expect(stored["configDrive"]?["files"]?["openstack/latest/user_data"] == "00ff0a")
        #expect(try JSON.decode(GuestSpec.self, from: stored) == spec)
        #expect(throws: (any Error).self) {
            try JSON.decode(ConfigDrive.self, from: ["isVFAT": false, "files": ["a": "0g"]])
        }
    }

    @Test("Trouble comes from its seed, and repeating the call mends it")
    func trouble() async throws {
        var histories: [[Bool]] = []
        for _ in 1...2 {
            let host = FakeHypervisor(trouble: .init(failures: 0.5, seed: 7))
            var history: [Bool] = []
            for number in 1...20 {
                let spec = Self.spec(number)
                var done = false
                while !done {
                    do {
                        try await host.boot(spec, image: nil)
                        done = true
                    } catch { #expect(error.status == 503) }
                    history.append(done)
                }
            }
            #expect(try await host.guests().count == 20)
            histories.append(history)
        }
        #expect(histories[0] == histories[1])
        #expect(histories[0].contains(false) && histories[0].contains(true))
    }

    @Test("A host that lost power comes back with its guests down")
    func power() async throws {
        let host = FakeHypervisor()
        let spec = Self.spec()
        try await host.boot(spec, image: nil)
        await host.loseHost()
        #expect(try await host.state(of: spec.server) == .shutdown)
        await host.setUnreachable(true)
        await #expect(throws: Fault.self) { try await host.guests() }
    }

    @Test("Somebody else's guests are reported and never touched")
    func foreign() async throws {
        let host = FakeHypervisor()
        let spec = Self.spec()
        await host.addForeign(spec)
        #expect(try await host.guests() == [spec.server: .running])
        await #expect(throws: Fault.guestNotOurs(spec.server)) { try await host.destroy(spec.server) }
        await #expect(throws: Fault.guestNotOurs(spec.server)) { try await host.power(spec.server, .pause) }
        await #expect(throws: Fault.guestNotOurs(spec.server)) { try await host.boot(spec, image: nil) }
        #expect(try await host.guests() == [spec.server: .running])
    }

    @Test("The console keeps its last lines")
    func console() async throws {
        let host = FakeHypervisor()
        let spec = Self.spec()
        try await host.boot(spec, image: nil)
        await host.write("one\ntwo\nthree\n", toConsoleOf: spec.server)
        #expect(try await host.consoleOutput(of: spec.server, lines: 3) == Array("two\nthree\n".utf8))
        #expect(try await host.consoleOutput(of: spec.server, lines: 0).isEmpty)
        #expect(try await host.consoleOutput(of: spec.server, lines: 1000).starts(with: "fake: web".utf8))
        #expect(try await host.consoleOutput(of: spec.server, lines: nil).count > 20)
    }

    @Test("An idle host costs less than a kibibyte")
    func small() {
        let host = FakeHypervisor()
        // <malloc.h> is not part of the Glibc module.
        typealias Measure = @convention(c) (UnsafeMutableRawPointer?) -> Int
        let measure = unsafeBitCast(dlsym(nil, "malloc_usable_size"), to: Measure.self)
        #expect(measure(Unmanaged.passUnretained(host).toOpaque()) < 1024)
    }
}
