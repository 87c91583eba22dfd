// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

struct ServerActionsTests {
    @Test("Power actions move a server through its states and are written down")
    func power() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let walk: [(JSON, String, String, Int)] = [
            (["os-stop": nil], "powering-off", "SHUTOFF", 4), (["os-start": nil], "powering-on", "ACTIVE", 1),
            (["pause": nil], "pausing", "PAUSED", 3), (["unpause": nil], "unpausing", "ACTIVE", 1),
            (["suspend": nil], "suspending", "SUSPENDED", 4), (["resume": nil], "resuming", "ACTIVE", 1),
            (["reboot": ["type": "SOFT"]], "rebooting", "ACTIVE", 1),
            (["reboot": ["type": "HARD"]], "rebooting_hard", "ACTIVE", 1),
        ]
        for (action, task, status, power) in walk {
            #expect(await cloud.act(id, action).status == 202)
            #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == .string(task))
            try await cloud.work()
            let server = await cloud.show(id)
            #expect(server["status"] == .string(status))
            #expect(server["OS-EXT-STS:power_state"] == .integer(Int64(power)))
            #expect(server["OS-EXT-STS:task_state"] == .null)
        }
        let actions = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        #expect(actions.count == 9)
        #expect(actions.first?["action"] == "reboot")
    }

    @Test("An action that the state does not allow is a conflict in upstream's words")
    func conflicts() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let started = await cloud.act(id, ["os-start": nil])
        #expect(started.status == 409)
        #expect(
            started["conflictingRequest"]["message"]?.string
                == "Cannot 'start' instance \(id) while it is in vm_state active")
        #expect(await cloud.act(id, ["unpause": nil]).status == 409)
        #expect(await cloud.act(id, ["os-stop": nil]).status == 202)
        let twice = await cloud.act(id, ["os-stop": nil])
        #expect(twice.message == "Cannot 'stop' instance \(id) while it is in task_state powering-off")
        try await cloud.work()
        #expect(await cloud.act(id, ["reboot": ["type": "SOFT"]]).status == 409)
        let bad = await cloud.act(id, ["reboot": ["type": "WARM"]])
        #expect(bad.status == 400)
        #expect(bad.message.contains("type"))
        #expect(await cloud.act(id, ["sing": nil]).status == 400)
        #expect(await cloud.act(id, ["os-start": nil], as: .reader()).status == 403)
        #expect(await cloud.act(id, ["os-resetState": ["state": "active"]]).status == 403)
        #expect(await cloud.act(id, ["os-resetState": ["state": "error"]], as: .admin()).status == 202)
        #expect(await cloud.show(id)["status"] == "ERROR")
    }

    @Test("A locked server refuses all but administrators, and keeps the reason")
    func lock() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.act(id, ["lock": ["locked_reason": "mine"]], at: "2.73").status == 202)
        #expect(await cloud.show(id, at: "2.73")["locked_reason"] == "mine")
        #expect(await cloud.act(id, ["os-stop": nil]).message == "Instance \(id) is locked")
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 409)
        #expect(await cloud.act(id, ["os-stop": nil], as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.act(id, ["unlock": nil]).status == 202)
        #expect(await cloud.act(id, ["lock": nil], as: .admin()).status == 202)
        #expect(await cloud.act(id, ["unlock": nil]).status == 403)
        #expect(await cloud.act(id, ["lock": ["locked_reason": ""]], at: "2.73").status == 400)
    }

    @Test("The console's text is shown, in as many lines as asked for")
    func output() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        await cloud.hosts["host-1"]?.write("one\u{1B}\ntwo\n", toConsoleOf: id)
        let last = await cloud.act(id, ["os-getConsoleOutput": ["length": 3]])
        #expect(last.status == 200)
        #expect(last["output"] == "one\ntwo\n")
        #expect(await cloud.act(id, ["os-getConsoleOutput": ["length": "x"]]).status == 400)
        #expect(
            await cloud.act(id, ["os-getConsoleOutput": [:]])["output"].string?.hasPrefix("fake: web starts") == true)
    }

    @Test("Clients that speak SPICE themselves are sent to their proxy, where screens listen for it")
    func spice() async throws {
        var options = ComputeOptions()
        options.life.hasSPICE = true
        let body: JSON = ["remote_console": ["protocol": "spice", "type": "spice-direct"]]
        func asked(_ options: ComputeOptions, at version: String) async throws -> (ComputeCloud, TestCloud.Answer) {
            let cloud = try await ComputeCloud(options: options)
            await cloud.flavor()
            let path = "/servers/\(try await cloud.server())/remote-consoles"
            return (cloud, await cloud.call("POST", path, body, at: version))
        }
        #expect(try await asked(options, at: "2.99").1.message == "Unavailable console type spice-direct.")
        options.life.spiceListen = "127.0.0.1"
        #expect(try await asked(options, at: "2.98").1.status == 400)
        let (cloud, answer) = try await asked(options, at: "2.99")
        let url = answer["remote_console"]["url"]?.string ?? ""
        #expect(url.hasPrefix("http://127.0.0.1:13002/nova?token="))
        let path = "/os-console-auth-tokens/\(url.suffix(36))"
        let shown = await cloud.call("GET", path, at: "2.99", as: .admin())["console"]
        #expect(shown["tls_port"]?.isNull == true)
        #expect(shown["internal_access_path"] != nil)
        #expect(await cloud.call("GET", path, at: "2.98", as: .admin())["console"]["tls_port"] == nil)
    }

    @Test("A console's address carries a token that only its hash is kept of")
    func console() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let old = await cloud.act(id, ["os-getVNCConsole": ["type": "novnc"]])
        #expect(old["console"]["url"]?.string?.contains("/vnc_lite.html?path=%3Ftoken%3D") == true)
        #expect(await cloud.act(id, ["os-getVNCConsole": ["type": "novnc"]], at: "2.6").status == 400)
        let new = await cloud.call(
            "POST", "/servers/\(id)/remote-consoles", ["remote_console": ["protocol": "vnc", "type": "novnc"]],
            at: "2.6")
        #expect(new.status == 200, "\(new.json.text())")
        let token = String(new["remote_console"]["url"]?.string?.suffix(36) ?? "")
        let shown = await cloud.call("GET", "/os-console-auth-tokens/\(token)", at: "2.31", as: .admin())
        #expect(shown["console"]["instance_uuid"] == .string(id))
        #expect(await cloud.call("GET", "/os-console-auth-tokens/\(id)", at: "2.31", as: .admin()).status == 404)
        let rows = try await cloud.room.database.rows("SELECT token_hash FROM compute_console_tokens")
        #expect(rows.count == 2)
        #expect(rows.allSatisfy { $0.text("token_hash") != token })
        let spice = await cloud.call(
            "POST", "/servers/\(id)/remote-consoles", ["remote_console": ["protocol": "spice", "type": "spice-html5"]],
            at: "2.6")
        #expect(spice.status == 400)
    }

    @Test("A password is set through the guest's agent, or refused with 409")
    func password() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.act(id, ["changePassword": ["adminPass": "new"]]).status == 202)
        #expect(await cloud.act(id, ["changePassword": [:]]).message.contains("adminPass"))
        _ = await cloud.act(id, ["os-stop": nil])
        #expect(await cloud.act(id, ["changePassword": ["adminPass": "new"]]).status == 409)
    }

    @Test("A worker that dies in the middle of a boot leaves it to the next, and the server ends ACTIVE")
    func resume() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        await cloud.hosts["host-1"]?.setTrouble(.init(delay: .seconds(3600) ... .seconds(3600)))
        let id = await cloud.call("POST", "/servers", ComputeCloud.draft())["server"]["id"]?.string ?? ""
        let database = cloud.room.database
        try await cloud.work {
            try await database.rows("SELECT id FROM work_operations WHERE step_name = 'spawning'").first != nil
        }
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == "spawning")
        await cloud.hosts["host-1"]?.setTrouble(.init())
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(cloud.network.ports.count == 1)
    }

    @Test("A boot that fails for good gives back its ports and its allocation and says which step failed")
    func failure() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id =
            await cloud.call(
                "POST", "/servers", ComputeCloud.draft(["security_groups": [["name": "web"]]]))["server"]["id"]?
            .string ?? ""
        cloud.network.state.withLock { $0.groups = [] }
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == "ERROR")
        #expect(server["fault"]?["message"] == "Security group web not found.")
        #expect(server["fault"]?["details"]?.string?.contains("networking") == true)
        #expect(cloud.network.ports.isEmpty)
        let held = await cloud.cloud.call("placement", "GET", "/allocations/\(id)", as: .service())
        #expect(held["allocations"].object?.isEmpty == true)
    }
}
