// SPDX-License-Identifier: Apache-2.0
import Config
import Testing

private enum Provider: String, CaseIterable, Sendable { case fernet, jws }

private struct TokenOptions: Options {
    static let section = "token"
    let provider: Provider, expiration: Duration, allowed: [String], secret: String?

    init(_ read: inout OptionReader) {
        provider = read.choice("provider", default: Provider.fernet, help: "How tokens are made.")
        expiration = read.duration("expiration", default: .seconds(3600), help: "How long a token lives.")
        allowed = read.list("allowed_methods", default: ["password", "token"], help: "Ways to prove who one is.")
        secret = read.string("secret", help: "Only for tests.", aliases: ["old_secret"])
    }
}

private struct ListenOptions: Options {
    static let section = "DEFAULT"
    let port: Int, debug: Bool, weight: Double

    init(_ read: inout OptionReader) {
        port = read.int("port", default: 5000, in: 1...65535, help: "Where to listen.")
        debug = read.bool("debug", default: false, help: "Whether to say more.", env: "APUS_DEBUG")
        weight = read.double("weight", default: 1, help: "A number.")
        if debug, port == 1 { read.refuse("debug cannot listen on port 1.") }
    }
}

/// Reads in two sections, one of which others read too.
private struct SpreadOptions: Options {
    static let section = "DEFAULT"
    let port: Int, ratio: Double, gateway: Int?, attempts: Duration

    init(_ read: inout OptionReader) {
        port = read.int("port", default: 5000, in: 1...65535, help: "Where to listen.")
        ratio = read.double("ratio", default: 1.5, atLeast: 0.5, help: "A number.")
        read.section("external")
        gateway = read.text("gateway", "even number", help: "Even.") { Int($0).flatMap { $0 % 2 == 0 ? $0 : nil } }
        attempts = read.duration("attempts", default: .seconds(5), atLeast: .seconds(1), help: "A time.")
    }
}

struct ConfigurationTests {
    static let known: [any Options.Type] = [TokenOptions.self, ListenOptions.self]

    private func load(
        _ text: String, environment: [String: String] = [:], flags: [String: String] = [:]
    ) throws(ConfigurationErrors) -> Configuration {
        let source = ConfigurationSource(name: "apus.conf", text: text)
        return try Configuration.load(
            sources: [source], environment: environment, flags: flags, known: ConfigurationTests.known)
    }

    private func mistakes(
        _ text: String, environment: [String: String] = [:], flags: [String: String] = [:]
    ) -> [String] {
        do {
            _ = try load(text, environment: environment, flags: flags)
            return []
        } catch { return error.mistakes }
    }

    @Test("Nothing set means defaults")
    func defaults() throws {
        let token = try load("")[TokenOptions.self]
        #expect(token.provider == .fernet && token.expiration == .seconds(3600) && token.secret == nil)
        #expect(token.allowed == ["password", "token"])
        #expect(try load("")[ListenOptions.self].port == 5000)
    }

    @Test("Flags win over the environment, which wins over files")
    func order() throws {
        let text = "port = 1000\nweight = 0.5\n[token]\nexpiration = 5m\nold_secret = s\nallowed_methods = a, b\n"
        let configuration = try load(
            text, environment: ["APUS_DEFAULT_PORT": "2000", "APUS_DEBUG": "on", "HOME": "/"], flags: ["port": "3000"])
        #expect(configuration[ListenOptions.self].port == 3000)
        #expect(configuration[ListenOptions.self].debug)
        #expect(configuration[ListenOptions.self].weight == 0.5)
        #expect(configuration[TokenOptions.self].expiration == .seconds(300))
        #expect(configuration[TokenOptions.self].secret == "s")
        #expect(configuration[TokenOptions.self].allowed == ["a", "b"])
        #expect(try load(text, environment: ["APUS_DEFAULT_PORT": "2000"])[ListenOptions.self].port == 2000)
        #expect(try load("", flags: ["token.provider": "jws"])[TokenOptions.self].provider == .jws)
    }

    @Test("All mistakes are told at once, each with its place")
    func allMistakes() {
        let text = """
            port = 70000
            debug = perhaps
            weigth = 2
            [tokne]
            provider = x
            [token]
            provider = fernt
            expiration = 5 parsecs
            port = 1
            secret = a
            secret = b
            nonsense
            """
        #expect(
            mistakes(text, environment: ["APUS_TOKEN_PROVIDR": "jws"], flags: ["token.expire": "1"]) == [
                "apus.conf:12: an option is written 'name = value', not 'nonsense'.",
                "apus.conf:11: [token] secret was set in line 10 already.",
                "apus.conf:7: [token] provider = 'fernt' is not one of fernet, jws; did you mean 'fernet'?",
                "apus.conf:8: [token] expiration = '5 parsecs' is no duration such as 30, 500ms, 30s, 5m, 2h or 7d.",
                "apus.conf:1: [DEFAULT] port = '70000' is no whole number (1 to 65535).",
                "apus.conf:2: [DEFAULT] debug = 'perhaps' is neither true nor false.",
                "apus.conf:4: there is no section [tokne]; did you mean 'token'?",
                "apus.conf:3: there is no option 'weigth' in [DEFAULT]; did you mean 'weight'?",
                "apus.conf:9: there is no option 'port' in [token]; it belongs in [DEFAULT].",
                "--token.expire: there is no option 'expire' in [token].",
                "APUS_TOKEN_PROVIDR: no option has this variable; did you mean 'APUS_TOKEN_PROVIDER'?",
            ])
    }

    @Test("What several options together make wrong can be refused")
    func together() {
        #expect(mistakes("debug = yes\nport = 1") == ["[DEFAULT] debug cannot listen on port 1."])
    }

    @Test("One part may read several sections, and two parts the same option")
    func spread() throws {
        let known: [any Options.Type] = [ListenOptions.self, SpreadOptions.self]
        let source = ConfigurationSource(name: "f", text: "port = 7\nratio = 2\n[external]\ngateway = 4\n")
        let configuration = try Configuration.load(
            sources: [source], environment: ["APUS_EXTERNAL_ATTEMPTS": "2s"], known: known)
        let spread = configuration[SpreadOptions.self]
        #expect(spread.port == 7 && spread.ratio == 2 && spread.gateway == 4 && spread.attempts == .seconds(2))
        #expect(configuration[ListenOptions.self].port == 7)
        let names = Configuration.describe(known).map { "\($0.section).\($0.name)" }
        #expect(
            names == [
                "DEFAULT.port", "DEFAULT.debug", "DEFAULT.weight", "DEFAULT.ratio", "external.gateway",
                "external.attempts",
            ])
    }

    @Test("What two parts find wrong is told once, and bounds are named")
    func toldOnce() {
        let source = ConfigurationSource(
            name: "f", text: "port = 0\nratio = 0.1\n[external]\ngateway = 3\nattempts = 0s\n")
        do throws(ConfigurationErrors) {
            _ = try Configuration.load(sources: [source], known: [ListenOptions.self, SpreadOptions.self])
            Issue.record("the mistakes were not found")
        } catch {
            #expect(
                error.mistakes == [
                    "f:1: [DEFAULT] port = '0' is no whole number (1 to 65535).",
                    "f:2: [DEFAULT] ratio = '0.1' is no number (0.5 or more).",
                    "f:4: [external] gateway = '3' is no even number.",
                    "f:5: [external] attempts = '0s' is less than 1s.",
                ])
        }
    }

    @Test("A flag is called what was typed, and variables of scripts are none of our business")
    func spelling() throws {
        #expect(throws: Never.self) { try load("", environment: ["APUS_DATA": "/x", "APUS_SEED": "1"]) }
        do throws(ConfigurationErrors) {
            _ = try Configuration.load(
                sources: [], flags: ["DEFAULT.port": "0"], spelling: ["DEFAULT.port": "listen-port"],
                known: ConfigurationTests.known)
            Issue.record("the mistake was not found")
        } catch {
            #expect(error.mistakes == ["--listen-port: [DEFAULT] port = '0' is no whole number (1 to 65535)."])
        }
    }

    @Test("A file that is not there is a mistake")
    func missingFile() {
        #expect(throws: ConfigurationErrors.self) {
            try Configuration.load(files: ["/nonexistent/apus.conf"], known: ConfigurationTests.known)
        }
    }

    @Test("The sample loads, and changes nothing when every line is taken")
    func sample() throws {
        let sample = Configuration.sample(ConfigurationTests.known)
        #expect(
            sample.hasPrefix(
                "[DEFAULT]\n\n# Where to listen. (whole number (1 to 65535); APUS_DEFAULT_PORT)\n#port = 5000\n"))
        #expect(throws: Never.self) { try load(sample) }
        let taken = sample.split(separator: "\n").filter { !$0.contains("<none>") }
            .map { $0.hasPrefix("#") && !$0.hasPrefix("# ") ? $0.dropFirst() : $0 }.joined(separator: "\n")
        let token = try load(taken)[TokenOptions.self]
        #expect(token.expiration == .seconds(3600) && token.allowed == ["password", "token"])
    }

    @Test(
        "Durations are read in their units",
        arguments: [
            ("30", 30_000), ("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("1 d", 86_400_000),
        ])
    func durations(text: String, milliseconds: Int) throws {
        let configuration = try load("[token]\nexpiration = \(text)")
        #expect(configuration[TokenOptions.self].expiration == .milliseconds(milliseconds))
    }
}
