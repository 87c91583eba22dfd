// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Testing

@testable import Identity

/// What rooms get from Identity to speak to services that another program runs.
struct IdentityDeskTests {
    @Test("A caller's own token is passed on as it is, whatever it is good for, and nothing prints it")
    func own() async throws {
        let cloud = try await IdentityCloud()
        let own = try await cloud.service.tokens.open(await cloud.token())
        #expect(try await cloud.service.token(for: own.caller) == own.text)
        #expect(!"\(own.caller)".contains(own.text) && !String(reflecting: own.caller).contains(own.text))
    }

    @Test("A caller whom no request brought gets a token that is worth what the user is: user, project, roles")
    func callers() async throws {
        let cloud = try await IdentityCloud()
        let own = try await cloud.service.tokens.open(await cloud.token())
        var bare = own.caller
        bare.token = nil
        let made = try await cloud.service.tokens.open(try await cloud.service.token(for: bare))
        #expect(made.text != own.text)
        #expect(made.caller.userID == own.caller.userID && made.caller.projectID == own.caller.projectID)
        #expect(Set(made.caller.roles) == Set(own.caller.roles))
        var stranger = bare
        stranger.userID = "nobody"
        let refused = await #expect(throws: Fault.self) { try await cloud.service.token(for: stranger) }
        #expect(refused?.status == 401)
    }

    @Test("A service's account is made once, cannot be logged in to, and has the roles of services")
    func services() async throws {
        let cloud = try await IdentityCloud()
        let room = Caller(userID: "nova", userName: "nova", projectID: "service", roles: ["admin", "service"])
        for _ in 0..<2 {
            let token = try await cloud.service.tokens.open(try await cloud.service.token(for: room))
            #expect(token.caller.userName == "nova" && token.caller.projectName == "service")
            #expect(token.caller.roles.contains("service") && token.caller.roles.contains("admin"))
        }
        let once = try await cloud.service.token(ofService: "nova")
        #expect(try await cloud.service.token(ofService: "nova") == once, "who is shown it knows it")
        let users = try await cloud.database.all(User.self, "name = 'nova'")
        #expect(users.count == 1 && users.first?.passwordHash == nil)
    }

    @Test("A service is where the catalog says, by the first of its types that is there")
    func addresses() async throws {
        let cloud = try await IdentityCloud()
        let desk = cloud.service
        #expect(try await desk.address(of: ["volumev3", "identity"], interface: "public", region: nil) != nil)
        #expect(try await desk.address(of: ["volumev3"], interface: "public", region: nil) == nil)
        #expect(try await desk.address(of: ["identity"], interface: "public", region: "Mars") == nil)
    }
}
