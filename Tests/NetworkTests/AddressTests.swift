// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Testing

struct AddressTests {
    @Test(
        "IPv6 is written as RFC 5952 says",
        arguments: [
            ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("fe80::1:2:3:4:5:6", "fe80:0:1:2:3:4:5:6"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ])
    func canonical(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.version == .v6)
        #expect(address.description == canonical)
        #expect(IPAddress(address.description) == address)
    }

    @Test(
        "What is no address is refused",
        arguments: [
            "", ":", ":::", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4",
            "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "12345::", "fe80::1%eth0", "g::",
            "::1.2.3", "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", ":1::", "1:", "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7:",
        ])
    func refused(text: String) { #expect(IPAddress(text) == nil) }

    @Test("Addresses count, sort and end where their family ends")
    func arithmetic() {
        let address = IPAddress.v4(10, 0, 0, 255)
        #expect(address.next == .v4(10, 0, 1, 0))
        #expect(address.advanced(by: -256) == .v4(9, 255, 255, 255))
        #expect(IPAddress.v4(255, 255, 255, 255).next == nil)
        #expect(IPAddress("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")?.next == nil)
        #expect(IPAddress.zero(.v6).previous == nil)
        #expect(
            [IPAddress("::")!, .v4(9, 0, 0, 10), .v4(9, 0, 0, 9)].sorted().map(\.description) == [
                "9.0.0.9", "9.0.0.10", "::",
            ])
        #expect(IPAddress.v4(192, 0, 2, 1).reverseName == "1.2.0.192.in-addr.arpa")
        #expect(IPAddress("2001:db8::1")!.reverseName.hasPrefix("1.0.0.0.0.0.0.0."))
        #expect(IPAddress("169.254.1.1")!.isLinkLocal && IPAddress("febf::1")!.isLinkLocal)
        #expect(IPAddress("239.1.1.1")!.isMulticast && IPAddress("ff02::1")!.isMulticast)
    }

    @Test("A strict block has a length and no host bits; a loose one is cut to its network")
    func blocks() throws {
        #expect(CIDR(strict: "10.0.0.0/24")?.description == "10.0.0.0/24")
        #expect(CIDR(strict: "10.0.0.1/24") == nil)
        #expect(CIDR(strict: "10.0.0.0") == nil)
        #expect(CIDR(loose: "10.0.0.7/24")?.description == "10.0.0.0/24")
        #expect(CIDR(loose: "10.0.0.7/255.255.0.0")?.description == "10.0.0.0/16")
        #expect(CIDR(loose: "10.0.0.7/255.0.255.0") == nil)
        #expect(CIDR(loose: "2001:db8::7")?.description == "2001:db8::7/128")
        for text in ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129", "10.0.0.0/2 4", "10.0.0.0/+8"] {
            #expect(CIDR(loose: text) == nil, "\(text)")
        }
        let block = try #require(CIDR(strict: "192.0.2.0/29"))
        #expect(block.netmask == .v4(255, 255, 255, 248))
        #expect(block.broadcast == .v4(192, 0, 2, 7))
        #expect(block.hosts == IPAddress.v4(192, 0, 2, 1)...IPAddress.v4(192, 0, 2, 6))
        #expect(block.size == 8)
        #expect(CIDR.everything(.v6).contains(IPAddress("ffff::")!))
        #expect(CIDR.everything(.v6).last.description == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
        #expect(!CIDR.everything(.v4).contains(IPAddress("::")!))
        #expect(CIDR(strict: "192.0.2.0/31")!.hosts == IPAddress.v4(192, 0, 2, 0)...IPAddress.v4(192, 0, 2, 1))
        #expect(CIDR(strict: "2001:db8::/64")!.hosts.lowerBound.description == "2001:db8::1")
        #expect(CIDR(strict: "2001:db8::/127")!.hosts.lowerBound.description == "2001:db8::")
        #expect(CIDR(strict: "10.0.0.0/8")!.overlaps(CIDR(strict: "10.9.0.0/16")!))
        #expect(!CIDR(strict: "10.0.0.0/9")!.overlaps(CIDR(strict: "10.128.0.0/9")!))
        #expect(
            Array(CIDR(strict: "10.0.0.0/22")!.subnets(prefix: 24)).map(\.description) == [
                "10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24",
            ])
    }

    @Test("Pools leave the gateway out, find free addresses and say what is wrong with them")
    func pools() throws {
        let block = try #require(CIDR(strict: "10.0.0.0/29"))
        let pools = AllocationPools(of: block, gateway: .v4(10, 0, 0, 3))
        #expect(pools.pools.map { "\($0.start)-\($0.end)" } == ["10.0.0.1-10.0.0.2", "10.0.0.4-10.0.0.6"])
        #expect(pools.size == 5)
        #expect(pools.firstFree(taken: [.v4(10, 0, 0, 1), .v4(10, 0, 0, 2)]) == .v4(10, 0, 0, 4))
        #expect(pools.free(taken: [], limit: 10).count == 5)
        #expect(AllocationPools(of: block, gateway: .v4(10, 0, 0, 1)).pools.count == 1)
        #expect(pools.problem(in: block, gateway: .v4(10, 0, 0, 3)) == nil)
        func problem(_ start: String, _ end: String) throws -> AllocationPoolProblem? {
            let pool = try #require(AllocationPool(start: IPAddress(start)!, end: IPAddress(end)!))
            return AllocationPools([pool]).problem(in: block, gateway: .v4(10, 0, 0, 1))
        }
        let broad = try #require(AllocationPool(start: .v4(10, 0, 0, 2), end: .v4(10, 0, 0, 7)))
        #expect(try problem("10.0.0.2", "10.0.0.7") == .outside(broad, block))
        let first = try #require(AllocationPool(start: .v4(10, 0, 0, 1), end: .v4(10, 0, 0, 2)))
        #expect(try problem("10.0.0.1", "10.0.0.2") == .gateway(first, .v4(10, 0, 0, 1)))
        #expect(AllocationPool(start: .v4(10, 0, 0, 2), end: .v4(10, 0, 0, 1)) == nil)
    }

    @Test("MAC addresses are read in both spellings, generated under the base and make EUI-64 addresses")
    func macs() throws {
        let mac = try #require(MACAddress("FA-16-3E-12-34-56"))
        #expect(mac.description == "fa:16:3e:12:34:56")
        #expect(MACAddress("fa:16:3e:12:34") == nil && MACAddress("fa:16:3e-12:34:56") == nil)
        #expect(mac.linkLocal.description == "fe80::f816:3eff:fe12:3456")
        #expect(mac.eui64(in: CIDR(strict: "2001:db8::/64")!)?.description == "2001:db8::f816:3eff:fe12:3456")
        #expect(mac.eui64(in: CIDR(strict: "2001:db8::/65")!) == nil)
        let ids = RandomIdentifiers()
        #expect((0..<64).allSatisfy { _ in MACAddress.generate(ids).description.hasPrefix("fa:16:3e:") })
        let narrow = try #require(MACAddress("fa:16:3e:4f:00:00"))
        #expect(
            (0..<64).allSatisfy { _ in
                MACAddress.generate(base: narrow, ids).description.hasPrefix("fa:16:3e:4f:")
            })
    }
}
