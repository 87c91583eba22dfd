// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation

/// Placement's books under random changes through its API, all from one seed.
struct RandomBooks {
    let fixture: Fixture
    private var generator: SeededGenerator
    private var providers: [Int] = []
    private var consumers: [Int] = []
    private var next = 1

    private static let classes = ["VCPU", "MEMORY_MB", "DISK_GB", "CUSTOM_GOLD"]
    private static let traits = ["HW_CPU_X86_AVX", "HW_NIC_SRIOV", "CUSTOM_FAST", "CUSTOM_RED"]

    init(seed: UInt64) async throws {
        fixture = try await Fixture()
        generator = SeededGenerator(seed: seed &+ 1)
        for name in ["CUSTOM_FAST", "CUSTOM_RED"] { _ = await fixture.call("PUT", "/traits/\(name)") }
        _ = await fixture.call("PUT", "/resource_classes/CUSTOM_GOLD")
    }

    mutating func number(_ bound: Int) -> Int { Int(generator.next() % UInt64(bound)) }
    private mutating func chance(_ percent: Int) -> Bool { number(100) < percent }
    private mutating func some(_ names: [String], _ percent: Int) -> [String] {
        names.filter { _ in Int(generator.next() % 100) < percent }
    }
    private mutating func one<Element>(_ list: [Element]) -> Element? {
        list.isEmpty ? nil : list[number(list.count)]
    }
    private func path(_ provider: Int) -> String { "/resource_providers/\(Fixture.id(provider))" }
    private static func aggregate(_ number: Int) -> String { Fixture.id(900 + number) }

    private func generation(_ provider: Int) async -> JSON {
        await fixture.call("GET", path(provider))["generation"]
    }

    /// One change; some are refused, which is as good.
    mutating func change() async {
        switch number(providers.count < 4 ? 3 : 12) {
        case 0, 1: await add()
        case 2, 3: await stock()
        case 4, 5: await qualify()
        case 6: await gather()
        case 7: await move()
        case 8: await remove()
        case 9: await release()
        default: await claim()
        }
    }

    private mutating func add() async {
        guard providers.count < 9 else { return }
        let number = next
        next += 1
        var body: JSONObject = ["uuid": .string(Fixture.id(number)), "name": .string("p\(number)")]
        if chance(50), let parent = one(providers) { body["parent_provider_uuid"] = .string(Fixture.id(parent)) }
        if await fixture.call("POST", "/resource_providers", .object(body)).status == 200 { providers.append(number) }
        providers.sort()
        await stock(number)
        if chance(50) { await qualify(number) }
        if chance(50) { await gather(number) }
    }

    private mutating func stock(_ given: Int? = nil) async {
        guard let provider = given ?? one(providers) else { return }
        var inventories = JSONObject()
        for name in some(Self.classes, 45) {
            let total = 1 + number(8)
            inventories[name] = [
                "total": .integer(Int64(total)), "reserved": .integer(Int64(number(min(total, 3)))),
                "min_unit": .integer(Int64(1 + number(2))), "max_unit": .integer(Int64(2 + number(7))),
                "step_size": .integer(Int64(1 + number(2))), "allocation_ratio": .double([1, 1.5, 2.3][number(3)]),
            ]
        }
        _ = await fixture.call(
            "PUT", path(provider) + "/inventories",
            ["resource_provider_generation": await generation(provider), "inventories": .object(inventories)])
    }

    private mutating func qualify(_ given: Int? = nil) async {
        guard let provider = given ?? one(providers) else { return }
        var names = some(Self.traits, 40)
        if chance(25) { names.append("MISC_SHARES_VIA_AGGREGATE") }
        _ = await fixture.call(
            "PUT", path(provider) + "/traits",
            [
                "resource_provider_generation": await generation(provider),
                "traits": .array(names.map { .string($0) }),
            ])
    }

    private mutating func gather(_ given: Int? = nil) async {
        guard let provider = given ?? one(providers) else { return }
        let ids = (0..<3).filter { _ in Int(generator.next() % 100) < 40 }.map { JSON.string(Self.aggregate($0)) }
        if chance(30) {
            // Before 1.19 nobody counted this.
            _ = await fixture.call("PUT", path(provider) + "/aggregates", .array(ids), at: "1.18")
        } else {
            _ = await fixture.call(
                "PUT", path(provider) + "/aggregates",
                ["resource_provider_generation": await generation(provider), "aggregates": .array(ids)])
        }
    }

    private mutating func move() async {
        guard let provider = one(providers) else { return }
        let parent: JSON = chance(40) ? .null : one(providers).map { .string(Fixture.id($0)) } ?? .null
        _ = await fixture.call(
            "PUT", path(provider), ["name": .string("p\(provider)"), "parent_provider_uuid": parent])
    }

    private mutating func remove() async {
        guard let provider = one(providers) else { return }
        if await fixture.call("DELETE", path(provider)).status == 204 { providers.removeAll { $0 == provider } }
    }

    private mutating func release() async {
        guard let consumer = one(consumers) else { return }
        _ = await fixture.call("DELETE", "/allocations/\(Fixture.id(consumer))")
        consumers.removeAll { $0 == consumer }
    }

    /// Takes of one provider or two, or moves what a consumer holds.
    private mutating func claim() async {
        var allocations = JSONObject()
        for _ in 0...number(2) {
            guard let provider = one(providers), let name = one(Self.classes) else { continue }
            allocations[Fixture.id(provider)] = ["resources": .object([name: .integer(Int64(1 + number(3)))])]
        }
        guard !allocations.isEmpty else { return }
        var consumer = 5000 + next
        next += 1
        var generation = JSON.null
        if chance(30), let known = one(consumers) {
            consumer = known
            generation = await fixture.call("GET", "/allocations/\(Fixture.id(known))")["consumer_generation"]
        }
        let answer = await fixture.call(
            "PUT", "/allocations/\(Fixture.id(consumer))",
            [
                "allocations": .object(allocations), "project_id": "project-a", "user_id": "user-a",
                "consumer_generation": generation, "consumer_type": "INSTANCE",
            ])
        if answer.status == 204, !consumers.contains(consumer) { consumers.append(consumer) }
    }

    // MARK: Questions

    mutating func wish() -> Wish {
        var wish = Wish()
        let suffixes = ["", "_A", "_B"].filter { _ in Int(generator.next() % 100) < 55 }
        for suffix in suffixes.isEmpty ? [""] : suffixes { wish.groups.append(group(suffix)) }
        if wish.groups.allSatisfy(\.resources.isEmpty) { wish.groups[0].resources = [Self.classes[number(3)]: 1] }
        // A group that asks for nothing at all is none.
        wish.groups.removeAll(where: \.isNothing)
        let named = wish.groups.filter { !$0.suffix.isEmpty }
        let bare = named.filter(\.resources.isEmpty).map(\.suffix)
        if !bare.isEmpty || (chance(25) && !named.isEmpty) { wish.subtree = Set(named.map(\.suffix)) }
        wish.isIsolated = chance(40)
        if chance(10) { wish.rootRequired = Set(some(Self.traits, 30)) }
        if chance(10) { wish.rootForbidden = Set(some(Self.traits, 30)).subtracting(wish.rootRequired) }
        if chance(25) { wish.limit = 1 + number(6) }
        return wish
    }

    private mutating func group(_ suffix: String) -> Wish.Group {
        var group = Wish.Group(suffix: suffix)
        for name in some(Self.classes, 35) { group.resources[name] = 1 + number(3) }
        if group.resources.isEmpty, suffix.isEmpty || chance(70) { group.resources[Self.classes[number(4)]] = 1 }
        if chance(25) { group.required.append(Set(some(Self.traits, 50))) }
        if chance(10) { group.required.append([Self.traits[number(4)]]) }
        group.required.removeAll(where: \.isEmpty)
        if chance(15) { group.forbidden = Set(some(Self.traits, 30)) }
        // What is asked for and forbidden at once is refused, which is another test's affair.
        group.required.removeAll { $0.isSubset(of: group.forbidden) }
        for _ in 0..<2 where chance(15) {
            group.memberOf.append([Self.aggregate(number(3)), Self.aggregate(number(4))])
        }
        if chance(12) { group.notMemberOf = [Self.aggregate(number(3))] }
        if chance(12) { group.inTree = Fixture.id(chance(90) ? one(providers) ?? 1 : 4000) }
        return group
    }
}
