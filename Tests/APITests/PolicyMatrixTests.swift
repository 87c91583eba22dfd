// SPDX-License-Identifier: Apache-2.0
import Kernel
import Testing

struct PolicyMatrixTests {
    private static func routes(_ checks: [(String, TokenScopes?)]) -> [Route] {
        checks.enumerated().map { number, rule in
            .get(
                "/things/\(number)", "Show thing", of: Anything.from,
                allow: .rule("thing-\(number)", rule.0, scopes: rule.1), { _, _ in .empty })
        }
    }

    private enum Things: Resource {
        static let routes =
            PolicyMatrixTests.routes([
                ("role:admin", nil), ("role:reader and project_id:%(project_id)s", nil),
                ("user_id:%(target.user.id)s or domain_id:%(target.user.domain_id)s", nil), ("@", .system),
                ("user_id:%(user_id)s and project_id:%(project_id)s", nil), ("!", nil),
                ("'reader':%(target.role.name)s or None:%(target.role.domain_id)s", nil),
            ]) + [.open("GET", "/", "Discover") { _ in .empty }]
    }

    private final class ThingService: Service {
        static let index = ServiceIndex(
            type: "thing", name: "thing", title: "Thing", port: 1, mount: "/thing", base: "/v1",
            versions: VersionHistory(nil, ["1.0": "The first."]),
            envelope: Envelope(
                pageLinks: .none, refusal: { .forbidden($0) },
                document: { fault, _, _ in ["message": .string(fault.message)] }), wording: .nova, rulePrefix: "t:",
            memberRules: ["all_things": "role:admin"], resources: [Things.self])
    }

    @Test("Each cell says whom the rule lets in, and what must be the caller's own for that")
    func cells() throws {
        let index = ThingService.index
        func caller(_ roles: [String], system: Bool = false) -> Caller {
            Caller(
                userID: "u", userName: "u", userDomainID: "d", projectID: system ? nil : "p",
                projectDomainID: system ? nil : "d", domainID: nil, isSystem: system, roles: roles)
        }
        let matrix = PolicyMatrix(
            index, under: try Policy(index.rules),
            personas: [
                .init("admin", caller(["admin"], system: true)), .init("reader", caller(["reader"])),
                .init("no token", nil),
            ])
        let cells = matrix.lines.map { $0.verdicts.joined(separator: " ") }
        #expect(
            cells == [
                "yes - -", "- project -", "user user -", "yes scope -", "- own -", "- - -", "yes yes -",
                "open open open", "yes - -",
            ])
        #expect(matrix.lines[0].call == "GET /v1/things/0")
        #expect(matrix.lines[0].rule == "t:thing-0")
        #expect(matrix.text.split(separator: "\n")[0] == "call\trule\tadmin\treader\tno token")
    }
}
