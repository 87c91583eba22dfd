// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import LoadBalancerHAProxy
import Testing

extension BalancerPackets {
    /// Real traffic through real processes on a real switch.
    @Suite("HAProxy balancers", .serialized, .timeLimit(.minutes(3)))
    struct HAProxyBalancersTests {
        private static func listener(_ more: (inout ListenerSpec) -> Void = { _ in }) -> ListenerSpec {
            var listener = ListenerSpec(id: "web", protocol: .http, port: 80)
            listener.defaultPoolID = "pool"
            more(&listener)
            return listener
        }

        @Test("It does what every provider must")
        func conformance() async throws {
            try await WebGround.with { ground in
                for part in BalancerProviderConformance.allCases {
                    try await part.run(on: ground.provider, Ground.bare)
                }
            }
        }

        @Test("Requests are spread over members; one that fails its checks gets none until it answers again")
        func spreading() async throws {
            try await WebGround.with { ground in
                let first = try ground.serve(0)
                var second = try ground.serve(1)
                var monitor = MonitorSpec(id: "hm", kind: .http, delay: 1, timeout: 1, rise: 1, fall: 1)
                (monitor.method, monitor.path, monitor.codes) = ("GET", "/", "200-201")
                let pool = WebGround.pool("pool") { $0.monitor = monitor }
                let spec = WebGround.balancer([Self.listener()], [pool])
                try await ground.provider.put(spec)
                #expect(try ground.becomes("m1 200", "http://10.0.0.5/"))
                var answers: [String: Int] = [:]
                for _ in 1...10 { answers[try ground.ask("http://10.0.0.5/"), default: 0] += 1 }
                #expect(answers == ["m0 200": 5, "m1 200": 5])
                let report = try #require(try await ground.provider.report(spec.id))
                #expect(report.members == ["m0": .up, "m1": .up])
                #expect((report.listeners["web"]?.totalConnections ?? 0) >= 10)
                #expect((report.listeners["web"]?.bytesOut ?? 0) > 0)

                await second.terminate(grace: .seconds(1))
                var health: BalancerReport.Health?
                for _ in 1...50 where health != .down {
                    health = try await ground.provider.report(spec.id)?.members["m1"]
                    _ = try Subprocess.runBlocking(["sleep", "0.2"], timeout: .seconds(2))
                }
                #expect(health == .down)
                for _ in 1...4 { #expect(try ground.ask("http://10.0.0.5/") == "m0 200") }
                second = try ground.serve(1)
                #expect(try ground.becomes("m1 200", "http://10.0.0.5/"))

                // The same balancer once more changes nothing: the process stays.
                try await ground.provider.put(spec)
                #expect(try await ground.provider.report(spec.id)?.run == report.run)
                #expect(try await ground.provider.present() == [spec.id])
                try await ground.provider.remove(spec.id)
                try await ground.provider.remove(spec.id)
                #expect(try await ground.provider.report(spec.id) == nil)
                #expect(try await ground.provider.present().isEmpty)
                await first.terminate(grace: .seconds(1))
                await second.terminate(grace: .seconds(1))
            }
        }

        @Test("Members are pinged, and found out when they are gone")
        func pings() async throws {
            try await WebGround.with { ground in
                var pool = WebGround.pool("pool", 3) {
                    $0.monitor = MonitorSpec(id: "hm", kind: .ping, delay: 1, timeout: 3, rise: 1, fall: 1)
                }
                // Nobody has this address.
                pool.members[2].address = "10.0.0.99"
                let spec = WebGround.balancer([Self.listener()], [pool])
                try await ground.provider.put(spec)
                let wanted: [String: BalancerReport.Health] = ["m0": .up, "m1": .up, "m2": .down]
                var found: [String: BalancerReport.Health]?
                for _ in 1...60 where found != wanted {
                    found = try await ground.provider.report(spec.id)?.members
                    _ = try Subprocess.runBlocking(["sleep", "0.2"], timeout: .seconds(2))
                }
                #expect(found == wanted)
                try await ground.provider.remove(spec.id)
            }
        }

        @Test("A connection goes on while the balancer changes under it, and new ones follow the change")
        func reloading() async throws {
            try await WebGround.with { ground in
                let serving = [try ground.serve(0), try ground.serve(1)]
                let echo = try Subprocess.spawn(
                    ["socat", "TCP-LISTEN:9000,fork,reuseaddr", "EXEC:cat"],
                    in: ground.spot(0))
                var stream = ListenerSpec(id: "stream", protocol: .tcp, port: 9000)
                stream.defaultPoolID = "echo"
                var echoes = PoolSpec(id: "echo", protocol: .tcp, algorithm: .leastConnections)
                echoes.members = [MemberSpec(id: "e0", address: WebGround.members[0], port: 9000)]
                var spec = WebGround.balancer([Self.listener(), stream], [WebGround.pool("pool", 1), echoes])
                try await ground.provider.put(spec)
                #expect(try ground.becomes("m0 200", "http://10.0.0.5/"))
                let before = try await ground.provider.report(spec.id)?.run

                let file = ground.folder + "/said"
                let talk = try Subprocess.spawn(
                    [
                        "sh", "-c",
                        "(echo one; while [ ! -e \(file).go ]; do sleep 0.1; done; echo two; sleep 1) "
                            + "| socat -t 5 - TCP:10.0.0.5:9000 > \(file)",
                    ], in: ground.client)
                for _ in 1...50 where FileSystem.text(file) != "one\n" {
                    _ = try Subprocess.runBlocking(["sleep", "0.1"], timeout: .seconds(2))
                }
                #expect(FileSystem.text(file) == "one\n")

                spec.pools[0] = WebGround.pool("pool", 2)
                spec.generation += 1
                try await ground.provider.put(spec)
                #expect(try await ground.provider.report(spec.id)?.run != before)
                #expect(try ground.becomes("m1 200", "http://10.0.0.5/"))
                try FileSystem.write("", to: file + ".go")
                #expect(await talk.wait() == 0)
                #expect(FileSystem.text(file) == "one\ntwo\n")
                try await ground.provider.remove(spec.id)
                for child in serving + [echo] { await child.terminate(grace: .seconds(1)) }
            }
        }

        @Test("Policies turn requests away, redirect them and send them to other pools; strangers are not let in")
        func policies() async throws {
            try await WebGround.with { ground in
                let serving = [try ground.serve(0), try ground.serve(1)]
                var other = WebGround.pool("other", 0)
                other.members = [MemberSpec(id: "m1", address: WebGround.members[1], port: 8080)]
                var deny = PolicySpec(id: "deny", action: .reject)
                deny.rules = [
                    RuleSpec(kind: .path, comparison: .startsWith, value: "/secret"),
                    RuleSpec(kind: .header, comparison: .equalTo, key: "X-Key", value: "open", isInverted: true),
                ]
                var away = PolicySpec(id: "away", action: .redirectToURL)
                (away.url, away.code) = ("http://example.org/a?b=\"c\"", 303)
                away.rules = [RuleSpec(kind: .fileType, comparison: .equalTo, value: "jpg")]
                var elsewhere = PolicySpec(id: "elsewhere", action: .redirectToPool)
                elsewhere.poolID = "other"
                elsewhere.rules = [RuleSpec(kind: .hostName, comparison: .regex, value: "^api\\.")]
                let listener = Self.listener {
                    $0.policies = [deny, away, elsewhere]
                    $0.insertHeaders = ["X-Forwarded-For": "true", "X-Forwarded-Port": "true"]
                    $0.allowedBlocks = ["10.0.0.20/32"]
                }
                var spec = WebGround.balancer([listener], [WebGround.pool("pool", 1), other])
                try await ground.provider.put(spec)
                #expect(try ground.becomes("m0 200", "http://10.0.0.5/"))
                #expect(try ground.ask("http://10.0.0.5/secret/1").hasSuffix(" 403"))
                #expect(try ground.ask("http://10.0.0.5/secret/1", "-H", "X-Key: open") == "m0 200")
                #expect(try ground.ask("http://10.0.0.5/x.jpg").hasSuffix(" 303"))
                #expect(
                    try ground.ask("http://10.0.0.5/x.jpg", "-D", "-").contains(
                        "location: http://example.org/a?b=\"c\""))
                #expect(try ground.ask("http://10.0.0.5/", "-H", "Host: api.example.org") == "m1 200")
                spec.listeners[0].allowedBlocks = ["192.0.2.0/24"]
                try await ground.provider.put(spec)
                #expect(try ground.becomes(" 000", "http://10.0.0.5/"))
                try await ground.provider.remove(spec.id)
                for child in serving { await child.terminate(grace: .seconds(1)) }
            }
        }

        @Test("TLS ends at the balancer, with the certificate that was referred to")
        func termination() async throws {
            try await WebGround.with { ground in
                let serving = [try ground.serve(0)]
                let (key, certificate) = (ground.folder + "/key.pem", ground.folder + "/crt.pem")
                try Subprocess.check([
                    "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=www.example.org", "-days",
                    "2",
                    "-keyout", key, "-out", certificate,
                ])
                let bundle = CertificateBundle(
                    certificate: FileSystem.text(certificate) ?? "", key: FileSystem.text(key) ?? "")
                let listener = Self.listener {
                    $0 = ListenerSpec(id: "web", protocol: .terminated, port: 443)
                    $0.defaultPoolID = "pool"
                    $0.certificates = [bundle]
                    $0.tls.versions = ["TLSv1.2", "TLSv1.3"]
                    $0.tls.protocols = ["h2", "http/1.1"]
                    $0.transportSecurity = "max-age=300; preload"
                }
                let spec = WebGround.balancer([listener], [WebGround.pool("pool", 1)])
                try await ground.provider.put(spec)
                #expect(try ground.becomes("m0 200", "https://10.0.0.5/"))
                let whole = try ground.ask("https://10.0.0.5/", "-v", "--stderr", "-", "-D", "-")
                #expect(whole.contains("CN=www.example.org"))
                #expect(whole.contains("strict-transport-security: max-age=300; preload"))
                #expect(try ground.ask("https://10.0.0.5/", "--tls-max", "1.1").hasSuffix(" 000"))
                try await ground.provider.remove(spec.id)
                for child in serving { await child.terminate(grace: .seconds(1)) }
            }
        }

        @Test("Clients stay at the member they were first sent to, over a change of the balancer too; backups wait")
        func persistence() async throws {
            try await WebGround.with { ground in
                let serving = [try ground.serve(0), try ground.serve(1), try ground.serve(2)]
                let jar = ground.folder + "/jar"
                var pool = WebGround.pool("pool", 3) {
                    $0.persistence = SessionPersistence(type: .httpCookie)
                    $0.members[2].isBackup = true
                }
                try await ground.provider.put(WebGround.balancer([Self.listener()], [pool]))
                #expect(try ground.becomes("m1 200", "http://10.0.0.5/"))
                let first = try ground.ask("http://10.0.0.5/", "-c", jar)
                for _ in 1...4 { #expect(try ground.ask("http://10.0.0.5/", "-b", jar) == first) }
                pool.persistence = SessionPersistence(type: .sourceIP)
                try await ground.provider.put(WebGround.balancer([Self.listener()], [pool]))
                let kept = try ground.ask("http://10.0.0.5/")
                for _ in 1...4 { #expect(try ground.ask("http://10.0.0.5/") == kept) }
                pool.members[0].weight = 7
                try await ground.provider.put(WebGround.balancer([Self.listener()], [pool]))
                #expect(try ground.ask("http://10.0.0.5/") == kept)
                for at in [0, 1] { pool.members[at].enabled = false }
                try await ground.provider.put(WebGround.balancer([Self.listener()], [pool]))
                #expect(try ground.becomes("m2 200", "http://10.0.0.5/"))
                #expect(
                    try await ground.provider.report("11111111-2222-4333-8444-555555555555")?.members["m0"] == .disabled
                )
                try await ground.provider.remove("11111111-2222-4333-8444-555555555555")
                for child in serving { await child.terminate(grace: .seconds(1)) }
            }
        }
    }
}
