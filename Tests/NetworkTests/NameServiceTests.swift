// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct NameServiceTests {
    private func ask(_ name: String, _ kind: UInt8) -> [UInt8] {
        var message: [UInt8] = [0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") { message += [UInt8(label.utf8.count)] + Array(label.utf8) }
        return message + [0, 0, kind, 0, 1]
    }

    private func cloud() async throws -> (cloud: NetworkCloud, network: String) {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network(["name": "n", "dns_domain": "example.org."])
        _ = try await cloud.subnet(network)
        _ = try await cloud.port(network, ["dns_name": "Web", "fixed_ips": [["ip_address": "10.0.0.9"]]])
        return (cloud, network)
    }

    @Test(
        "A name has its address, nothing of other kinds, and nobody is left to wait",
        arguments: [
            ("web.example.org", 1, 0, 1), ("WEB.example.org", 1, 0, 1), ("web", 1, 0, 1),
            ("web.example.org", 28, 0, 0), ("web.example.org", 16, 0, 0), ("web.example.org", 255, 0, 1),
            ("mail.example.org", 1, 3, 0), ("openstack.org", 1, 5, 0), ("a.b.example.org", 28, 5, 0),
            ("9.0.0.10.in-addr.arpa", 12, 0, 1), ("8.0.0.10.in-addr.arpa", 12, 3, 0),
            ("1.2.0.192.in-addr.arpa", 12, 5, 0),
        ] as [(String, UInt8, UInt8, UInt8)])
    func answers(name: String, kind: UInt8, code: UInt8, count: UInt8) async throws {
        let (cloud, network) = try await cloud()
        let question = ask(name, kind)
        let answer = try #require(await cloud.service.answer(names: question, network: network))
        #expect(Array(answer[..<2]) == [0xAB, 0xCD])
        #expect(answer[2] & 0x81 == 0x81, "an answer that repeats the wish for recursion")
        #expect(answer[3] == code)
        #expect(answer[7] == count)
        if count == 1, kind == 1 { #expect(Array(answer.suffix(4)) == [10, 0, 0, 9]) }
        if kind == 12, count == 1 {
            #expect(String(decoding: answer.suffix(17), as: UTF8.self).contains("example"))
        }
    }

    @Test("What is no question gets no answer")
    func strays() async throws {
        let (cloud, network) = try await cloud()
        let good = ask("web.example.org", 1)
        var reply = good
        reply[2] |= 0x80
        for bad in [[], [0], Array(good.dropLast(3)), reply, [UInt8](repeating: 0xFF, count: 40)] {
            #expect(await cloud.service.answer(names: bad, network: network) == nil)
        }
        // Bytes in any order do no harm.
        for length in 0..<good.count {
            _ = await cloud.service.answer(names: Array(good.reversed().prefix(length)), network: network)
        }
    }
}
