// SPDX-License-Identifier: Apache-2.0
import Kernel
import Testing

/// The options of the kernel's own parts.
struct KernelOptionsTests {
    static let known: [any Options.Type] = [
        LogOptions.self, ListenOptions.self, DatabaseOptions.self, CORSOptions.self, PolicyOptions.self,
    ]

    private func load(_ text: String) throws(ConfigurationErrors) -> Configuration {
        try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: KernelOptionsTests.known)
    }

    private func mistakes(_ text: String) -> [String] {
        do {
            _ = try load(text)
            return []
        } catch { return error.mistakes }
    }

    @Test("A database is a SQLite file; other engines are refused with when to expect them")
    func database() throws {
        #expect(try load("")[DatabaseOptions.self].path == nil)
        #expect(try load("[database]\nconnection = sqlite:////var/a.db")[DatabaseOptions.self].path == "/var/a.db")
        #expect(try load("[database]\nconnection = sqlite:///a.db")[DatabaseOptions.self].path == "a.db")
        for url in ["mysql+pymysql://nova:secret@db/nova", "postgresql://db/nova"] {
            let told = mistakes("[database]\nconnection = \(url)")
            #expect(told.count == 1)
            #expect(told[0].contains("MariaDB (mysql) and PostgreSQL come later") && !told[0].contains("secret"))
        }
        #expect(mistakes("[database]\nconnection = sqlite://").count == 1)
    }

    @Test("debug is short for the log level, and the level may change while the log is in use")
    func log() throws {
        #expect(try load("")[LogOptions.self].level == .info)
        #expect(try load("[log]\nlevel = error")[LogOptions.self].level == .error)
        #expect(try load("debug = true\n[log]\nlevel = error")[LogOptions.self].level == .debug)
        let log = Log(sink: .memory, level: .info)
        let child = log.with(["a": 1])
        child.debug("unheard")
        log.setLevel(.debug)
        child.debug("heard")
        #expect(log.lines.count == 1)
        Log.silent.setLevel(.debug)
        #expect(Log.silent.level == .off)
    }

    @Test(
        "The addresses of the catalog follow where the cloud listens",
        arguments: [
            ("", "http://127.0.0.1:5000"), ("bind_host = 0.0.0.0", "http://127.0.0.1:5000"),
            ("bind_host = ::", "http://[::1]:5000"), ("bind_host = 192.0.2.7", "http://192.0.2.7:5000"),
            ("bind_host = 0.0.0.0\npublic_host = cloud.example", "http://cloud.example:5000"),
        ])
    func addresses(text: String, url: String) throws {
        #expect(try load(text)[ListenOptions.self].url(5000) == url)
    }

    @Test("A certificate needs its key, both must be there, and then addresses are https")
    func certificate() throws {
        #expect(
            mistakes("[ssl]\ncert_file = /nonexistent") == [
                "[ssl] cert_file and key_file need each other.", "[ssl] /nonexistent cannot be read.",
            ])
        let folder = try FileSystem.makeTemporaryDirectory("options")
        defer { FileSystem.remove(folder) }
        try FileSystem.write("c", to: folder + "/c")
        try FileSystem.write("k", to: folder + "/k")
        let listen = try load("[ssl]\ncert_file = \(folder)/c\nkey_file = \(folder)/k\n")[ListenOptions.self]
        #expect(listen.url(5000) == "https://127.0.0.1:5000")
        #expect(try listen.identity() != nil)
    }

    @Test("Only origins may be allowed")
    func origins() throws {
        #expect(try load("[cors]\nallowed_origin = https://a.example, *")[CORSOptions.self].origins.count == 2)
        #expect(mistakes("[cors]\nallowed_origin = a.example, https://a.example/x").count == 2)
    }

    @Test("A policy file that was named must be there")
    func policy() throws {
        #expect(mistakes("[oslo_policy]\npolicy_file = /nonexistent").count == 1)
        #expect(try load("")[PolicyOptions.self].overrides(standard: "/nonexistent") == "")
    }
}
