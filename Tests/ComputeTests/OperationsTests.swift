// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// The API reference's operations, each by the call that carries it.
struct OperationsTests {
    struct Line: Sendable, CustomTestStringConvertible {
        let method: String
        let path: String
        let action: String
        let since: String
        let isRemoved: Bool

        var testDescription: String { "\(method) \(path) \(action)" }
    }

    static let lines: [Line] = {
        let file = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let path = "/" + file + "/Conformance/compute-operations.tsv"
        let text = FileSystem.text(path) ?? ""
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            return Line(
                method: parts[0], path: parts[1], action: parts[2], since: parts[3], isRemoved: parts[4] == "410")
        }
    }()

    @Test("Every operation of the API reference has a route, from the version on that it came with")
    func routes() {
        #expect(Self.lines.count > 240)
        // A part of a path may be a word where the reference has a parameter.
        let words = [
            "PUT /os-floating-ips-bulk/delete ": "PUT /os-floating-ips-bulk/{} ",
            "GET /os-certificates/root ": "GET /os-certificates/{} ",
            "PUT /os-cloudpipe/configure-project ": "PUT /os-cloudpipe/{} ",
        ]
        let known = Dictionary(
            grouping: ComputeService.index.routes, by: { "\($0.method) \(Self.shape($0.path)) \($0.action ?? "")" })
        for line in Self.lines {
            let key = "\(line.method) \(line.path) \(line.action)"
            guard let routes = known[words[key] ?? key] else {
                Issue.record("no route answers \(key)")
                continue
            }
            let since = routes.map { $0.since?.description ?? "" }
            #expect(line.since.isEmpty || since.contains(line.since), "\(key) begins at \(since), not at \(line.since)")
        }
    }

    @Test("What was removed answers 410 to everybody, at every version")
    func removed() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        // RDP consoles went without a 410: they are refused as upstream refuses them.
        for line in Self.lines where line.isRemoved && line.action != "os-getRDPConsole" {
            let path = line.path.replacing("{}", with: "7")
            let body: JSON? = line.action.isEmpty ? nil : .object([line.action: [:]])
            for version in ["2.1", "2.60"] {
                let answer = await cloud.call(line.method, path, body, at: version)
                #expect(answer.status == 410, "\(line.testDescription) at \(version): \(answer.status)")
                #expect(answer.message.hasPrefix("This resource is no longer available."))
            }
        }
    }

    private static func shape(_ path: String) -> String {
        path.split(separator: "/").map { $0.hasPrefix("{") ? "/{}" : "/" + $0 }.joined()
    }
}
