// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Testing

@testable import Engines

@Suite("Doctor", .serialized)
struct DoctorTests {
    @Test("A port in use is told with its holder, a free one is not")
    func ports() throws {
        let folder = TestEngines.freshFolder()
        defer { FileSystem.remove(folder) }
        let taken = try TCPSocket.listen(host: "0.0.0.0", port: 0)
        defer { close(taken) }
        let port = try #require(TCPSocket.port(taken))
        var options = EngineOptions()
        options.hypervisor = false
        let checks = Doctor(dataDirectory: folder, options: options, ports: [port]).examine()
        let check = try #require(checks.first { $0.name == "port \(port)" })
        #expect(check.status == .fail)
        #expect(check.detail.contains("process \(getpid())"))
        #expect(!check.remedy.isEmpty)
    }

    @Test("Whatever is not in order comes with a remedy")
    func remedies() {
        let checks = Doctor(dataDirectory: TestEngines.freshFolder() + String(repeating: "x", count: 80)).examine()
        #expect(checks.contains { $0.name == "data directory" && $0.status == .fail })
        for check in checks { #expect((check.status == .ok) == check.remedy.isEmpty, "\(check.name)") }
    }

    @Test("A machine that can run the other tests is told so", .enabled(if: Machine.hasEngines, "\(Machine.why)"))
    func healthy() {
        let folder = TestEngines.freshFolder()
        defer { FileSystem.remove(folder) }
        let checks = Doctor(dataDirectory: folder).examine()
        for check in checks { #expect(check.status != .fail, "\(check.name): \(check.detail)") }
    }

    @Test("Names of two folders differ, and an address without a prefix is refused")
    func options() throws {
        let (left, right) = (TestEngines.freshFolder(), TestEngines.freshFolder())
        defer { for folder in [left, right] { FileSystem.remove(folder) } }
        let names = try [left, right].map { folder in try EnginePaths(dataDirectory: folder).prefix }
        #expect(names[0] != names[1])
        #expect(names.allSatisfy { $0.utf8.count == 13 && $0.hasPrefix("apus-") })
        var options = EngineOptions()
        options.externalGateway = "203.0.113.1"
        #expect(throws: Fault.self) { try options.check() }
    }
}
