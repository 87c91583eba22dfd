// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// The keys that secrets are sealed with, and their rotation.
struct SecretKeysTests {
    let cloud: ComputeCloud
    let folder: String
    let file: SealingKeyFile
    let store: SealedSecrets
    let ids = RandomIdentifiers()

    init() async throws {
        cloud = try await ComputeCloud(hosts: 0)
        folder = try FileSystem.makeTemporaryDirectory("apus-secret-keys")
        file = try SealingKeyFile(folder + "/secrets", chance: ids, makes: true)
        store = SealedSecrets(cloud.room.database, keys: file, clock: MachineClock(), chance: ids)
    }

    private func keep(_ count: Int) async throws -> [String] {
        var made: [String] = []
        for number in 0..<count {
            made.append(ids.uuid())
            try await store.keep(Array("secret \(number)".utf8), as: made[number])
        }
        return made
    }

    private func expectAll(_ made: [String], _ store: SealedSecrets) async throws {
        for (number, id) in made.enumerated() {
            #expect(try await store.secret(id) == Array("secret \(number)".utf8))
        }
    }

    @Test("A new key seals, old ones open; all is sealed anew in portions, and only then may the old ones go")
    func rotation() async throws {
        defer { FileSystem.remove(folder) }
        var made = try await keep(250)
        let old = try file.all()[0]
        try file.rotate()
        let both = try file.all().map(\.id)
        #expect(both.count == 2 && both[1] == old.id)
        made.append(ids.uuid())
        try await store.keep(Array("secret 250".utf8), as: made[250])
        try await expectAll(made, store)
        let newest = try file.all()[0].id
        #expect(try await store.census() == [old.id: 250, newest: 1])
        await #expect(throws: Fault.self) { try await store.drop(from: file) }
        #expect(try file.all().count == 2)
        let told = Mutex<[Int]>([])
        let (done, lost) = try await store.sealAnew { done, all in told.withLock { $0.append(done) } }
        #expect(done == 250 && lost == 0)
        #expect(told.withLock { $0 } == [100, 200, 250])
        #expect(try await store.census() == [newest: 251])
        #expect(try await store.drop(from: file) == 1)
        #expect(try file.all().map(\.id) == [newest])
        try await expectAll(made, store)
        // Of what the old key sealed nothing is left.
        let blind = SealedSecrets(
            cloud.room.database, keys: FixedSealingKeys([old]), clock: MachineClock(), chance: ids)
        await #expect(throws: Fault.self) { try await blind.secret(made[0]) }
    }

    @Test("Whoever has the file in mind sees at once that it was rotated by another process")
    func others() async throws {
        defer { FileSystem.remove(folder) }
        let made = try await keep(3)
        let other = try SealingKeyFile(folder + "/secrets", chance: ids)
        try other.rotate()
        try other.rotate()
        let newest = try file.all()[0].id
        #expect(try other.all()[0].id == newest)
        var hopeless: String?
        try await SecretSealer(store, clock: MachineClock(), log: .silent).look(&hopeless)
        #expect(hopeless == nil)
        #expect(try await store.census() == [newest: 3])
        try await expectAll(made, store)
    }

    @Test("A key that is rotated and dropped while secrets are sealed anew seals nothing more")
    func overtaken() async throws {
        defer { FileSystem.remove(folder) }
        let made = try await keep(150)
        try file.rotate()
        // Between two portions the newest key is another, and between another two those before it are gone.
        let (store, file) = (store, file)
        let (done, lost) = try await store.sealAnew { done, _ in
            if done == 100, (try? file.all().count) == 2 { try? file.rotate() }
        }
        #expect(done == 100 + 150 && lost == 0)
        #expect(try await store.drop(from: file) == 2)
        try await expectAll(made, store)
        // Of those who have read what the newest is, none seals with it when it is dropped before they do.
        let stale = OvertakenKeys(try file.all(), then: { () throws(Fault) in try file.rotate() }, file)
        let late = SealedSecrets(cloud.room.database, keys: stale, clock: MachineClock(), chance: ids)
        #expect(try await late.sealAnew().done == 150)
        #expect(try await store.census() == [try file.all()[0].id: 150])
        #expect(try await store.drop(from: file) == 1)
        try await expectAll(made, store)
    }

    @Test("Where nothing is left to seal anew nobody looks for a minute, unless keys were rotated")
    func rest() async throws {
        defer { FileSystem.remove(folder) }
        let made = try await keep(3)
        let clock = AdvancedClock()
        let sealer = SecretSealer(store, clock: clock, log: .silent)
        var (hopeless, rest): (String?, SecretSealer.Rest?)
        try await sealer.look(&hopeless, &rest)
        try file.rotate()
        try await sealer.look(&hopeless, &rest)
        let newest = try file.all()[0].id
        #expect(try await store.census() == [newest: 3])
        // Another machine had not seen it yet.
        let database = cloud.room.database
        _ = try await database.update(SealedSecret.self, set: "key_id = ''", where: "id = \(made[0])")
        try await sealer.look(&hopeless, &rest)
        #expect(try await store.census() == ["": 1, newest: 2])
        clock.advance(by: .seconds(61))
        try await sealer.look(&hopeless, &rest)
        #expect(try await store.census() == [newest: 3])
        try await expectAll(made, store)
    }

    @Test("Processes that start at once make one key; who only asks makes none")
    func made() async throws {
        defer { FileSystem.remove(folder) }
        let (path, ids) = (folder + "/fresh", ids)
        #expect(throws: Fault.self) { try SealingKeyFile(path, chance: ids) }
        #expect(!FileSystem.exists(path))
        let seen = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<16 {
                group.addTask { try SealingKeyFile(path, chance: ids, makes: true).all().map(\.id) }
            }
            return try await group.reduce(into: Set<[String]>()) { $0.insert($1) }
        }
        #expect(seen.count == 1)
    }

    @Test("Secrets of before keys had names are known by trying, and named")
    func unnamed() async throws {
        defer { FileSystem.remove(folder) }
        let made = try await keep(5)
        _ = try await cloud.room.database.update(SealedSecret.self, set: "key_id = ''", where: "1 = 1")
        try file.rotate()
        try await expectAll(made, store)
        await #expect(throws: Fault.self) { try await store.drop(from: file) }
        #expect(try await store.sealAnew().done == 5)
        #expect(try await store.drop(from: file) == 1)
        try await expectAll(made, store)
    }

    @Test("A secret whose key is lost keeps no other key from being dropped, and is told of once")
    func lost() async throws {
        defer { FileSystem.remove(folder) }
        _ = try await keep(1)
        let name = folder + "/other"
        let other = try SealingKeyFile(name, chance: ids, makes: true)
        let without = SealedSecrets(cloud.room.database, keys: other, clock: MachineClock(), chance: ids)
        try other.rotate()
        let (done, lost) = try await without.sealAnew()
        #expect(done == 0 && lost == 1)
        var hopeless: String?
        try await SecretSealer(without, clock: MachineClock(), log: .silent).look(&hopeless)
        #expect(hopeless != nil)
        #expect(try await without.drop(from: other) == 1)
    }

    @Test("A draft that a dead process left changes nothing, and a file that others may read is refused")
    func files() async throws {
        defer { FileSystem.remove(folder) }
        let before = try file.all().map(\.id)
        try FileSystem.write("half a ke", to: folder + "/secrets.new", mode: 0o600)
        let again = try SealingKeyFile(folder + "/secrets", chance: ids)
        #expect(try again.all().map(\.id) == before)
        try file.rotate()
        #expect(try file.all().count == 2)
        try FileSystem.write(FileSystem.text(folder + "/secrets") ?? "", to: folder + "/secrets", mode: 0o644)
        #expect(throws: Fault.self) { try file.all() }
    }
}

/// Keys of which somebody has the newest in hand when something happens to the file.
private final class OvertakenKeys: SealingKeys {
    private let first: [SealingKey]
    private let happens: @Sendable () throws(Fault) -> Void
    private let file: SealingKeyFile
    private let isOver = Mutex(false)

    init(_ first: [SealingKey], then happens: @escaping @Sendable () throws(Fault) -> Void, _ file: SealingKeyFile) {
        (self.first, self.happens, self.file) = (first, happens, file)
    }

    func all() throws(Fault) -> [SealingKey] {
        let isFirst = isOver.withLock { isOver in
            defer { isOver = true }
            return !isOver
        }
        guard isFirst else { return try file.all() }
        try happens()
        return first
    }
}
