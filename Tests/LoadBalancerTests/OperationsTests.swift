// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import Testing

/// The API reference's operations, each by the route that answers it.
struct OperationsTests {
    static let lines: [String] = {
        let file = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let text = FileSystem.text("/\(file)/Conformance/load-balancer-operations.tsv") ?? ""
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
    }()

    @Test("Every operation of the API reference has a route, under both spellings of the version")
    func routes() {
        #expect(Self.lines.count >= 74)
        let known = Set(LoadBalancerService.index.routes.map { "\($0.method)\t\(Self.shape($0.path))" })
        for line in Self.lines {
            let parts = line.split(separator: "\t")
            for version in ["/v2", "/v2.0"] {
                #expect(known.contains("\(parts[0])\t\(version)\(parts[1])"), "no route answers \(line)")
            }
        }
    }

    private static func shape(_ path: String) -> String {
        path.split(separator: "/").map { $0.hasPrefix("{") ? "/{}" : "/" + $0 }.joined()
    }
}
