// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct IdentityAdministrationTests {
    @Test("Credentials are moved to the newest key, and no key goes while one is still under it")
    func credentials() async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-keys")
        defer { FileSystem.remove(folder) }
        let options = IdentityOptions()
        let places = KeyPlaces(directory: folder + "/fernet", options.tokens)
        let ids = RandomIdentifiers()
        let cloud = try await IdentityCloud(options, keys: try IdentityKeys(places, ids: ids))
        let admin = await cloud.token()
        let credential = await cloud.make(
            "credential", ["user_id": "0123456789abcdef", "type": "cert", "blob": "a secret"], token: admin)
        func administration() throws -> IdentityAdministration {
            IdentityAdministration(
                database: cloud.database, keys: try IdentityKeys(places, ids: ids), options: options,
                clock: cloud.clock)
        }
        try await administration().requireMigratedCredentials()
        try places.credentials(ids).rotate(maxActive: 3)
        await #expect(throws: Fault.self) { try await administration().requireMigratedCredentials() }
        #expect(try await administration().migrateCredentials() == 1)
        #expect(try await administration().migrateCredentials() == 0)
        try await administration().requireMigratedCredentials()
        KeyWatch(cloud.service).look()
        let shown = await cloud.call("GET", "/v3/credentials/\(credential)", token: admin)
        #expect(shown["credential"]["blob"]?.string == "a secret")
    }

    @Test("The doctor finds nothing in a fresh directory, and what is missing in another")
    func doctor() throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-keys")
        defer { FileSystem.remove(folder) }
        var options = IdentityOptions()
        let ids = RandomIdentifiers()
        let places = KeyPlaces(directory: folder + "/fernet", options.tokens)
        func symptoms(_ options: IdentityOptions) -> [String] {
            IdentityAdministration(database: nil, keys: nil, options: options, clock: TestClock())
                .symptoms(KeyPlaces(directory: folder + "/fernet", options.tokens), ids)
        }
        #expect(symptoms(options).count == 3)
        _ = try IdentityKeys(places, ids: ids)
        #expect(symptoms(options) == [])
        options.tokens.keys.credentialDirectory = folder + "/fernet"
        options.compliance.passwordRegex = ".*"
        #expect(symptoms(options).count == 2)
    }
}
