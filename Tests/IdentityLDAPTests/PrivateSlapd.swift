// SPDX-License-Identifier: Apache-2.0
import Glibc
import Identity
import IdentityLDAP
import Kernel
import Synchronization

/// An OpenLDAP server of the test's own on a loopback port, with a certificate made for it and a company of a thousand
/// users in it.
final class PrivateSlapd: Sendable {
    static let suffix = "dc=corp,dc=test"
    static let userCount = 1000
    private static let slapd = Subprocess.locate("slapd") ?? "/usr/sbin/slapd"
    private static let slapadd = Subprocess.locate("slapadd") ?? "/usr/sbin/slapadd"
    static var isPossible: Bool {
        FileSystem.isExecutable(slapd) && FileSystem.isExecutable(slapadd)
            && ["openssl", "ldapsearch"].allSatisfy { Subprocess.locate($0) != nil }
    }

    let directory: String
    let port = PrivateSlapd.freePort()
    let securePort = PrivateSlapd.freePort()
    private let server = Mutex<ChildProcess?>(nil)

    var url: String { "ldap://127.0.0.1:\(port)" }
    var secureURL: String { "ldaps://127.0.0.1:\(securePort)" }
    var authorities: String { directory + "/ca.pem" }

    /// Runs a test beside a server and clears everything away afterwards.
    static func with(_ body: (PrivateSlapd) async throws -> Void) async throws {
        let slapd = try await started()
        do { try await body(slapd) } catch {
            await slapd.clear()
            throw error
        }
        await slapd.clear()
    }

    /// A port that was free may be another test's by the time that a server wants it: then others are tried.
    private static func started() async throws -> PrivateSlapd {
        var tries = 0
        while true {
            let slapd = try PrivateSlapd()
            do {
                try slapd.start()
                return slapd
            } catch {
                await slapd.clear()
                tries += 1
                guard tries < 5 else { throw error }
            }
        }
    }

    private init() throws {
        directory = try FileSystem.makeTemporaryDirectory("apus-slapd")
        try FileSystem.makeDirectory(directory + "/db")
        try makeCertificates()
        try FileSystem.write(configuration, to: directory + "/slapd.conf")
        try FileSystem.write(Company.ldif, to: directory + "/company.ldif")
        try Subprocess.check(
            [Self.slapadd, "-q", "-f", directory + "/slapd.conf", "-l", directory + "/company.ldif"],
            timeout: .seconds(120))
    }

    /// Starts the server and waits until it answers.
    func start() throws {
        let child = try Subprocess.spawn(
            [Self.slapd, "-d", "0", "-f", directory + "/slapd.conf", "-h", "\(url) \(secureURL)"],
            log: directory + "/slapd.log")
        server.withLock { $0 = child }
        let watch = Stopwatch()
        let question = ["ldapsearch", "-x", "-LLL", "-H", url, "-b", "", "-s", "base", "1.1"]
        while try Subprocess.runBlocking(question, timeout: .seconds(20)).status != 0 {
            guard child.isRunning, watch.elapsed < .seconds(60) else {
                throw Fault.unavailable("slapd did not start: \(FileSystem.text(directory + "/slapd.log") ?? "")")
            }
        }
    }

    /// Ends it as a power cut would.
    func kill() async {
        let child = server.withLock { $0 }
        child?.signal(SIGKILL)
        await child?.wait()
    }

    private func clear() async {
        await server.withLock { $0 }?.terminate(grace: .seconds(5))
        FileSystem.remove(directory)
    }

    private func makeCertificates() throws {
        let subject = ["-nodes", "-days", "2", "-newkey", "rsa:2048"]
        try Subprocess.check(
            ["openssl", "req", "-x509", "-subj", "/CN=corp", "-keyout", directory + "/ca.key", "-out", authorities]
                + subject, timeout: .seconds(60))
        try Subprocess.check(
            ["openssl", "req", "-subj", "/CN=127.0.0.1", "-keyout", directory + "/key.pem", "-out", directory + "/csr"]
                + subject, timeout: .seconds(60))
        try FileSystem.write("subjectAltName=IP:127.0.0.1\n", to: directory + "/ext")
        try Subprocess.check(
            [
                "openssl", "x509", "-req", "-in", directory + "/csr", "-CA", authorities, "-CAkey",
                directory + "/ca.key", "-CAcreateserial", "-days", "2", "-extfile", directory + "/ext", "-out",
                directory + "/cert.pem",
            ], timeout: .seconds(60))
    }

    /// Nobody may read but the account for searches, who gets no more than 200 entries at once; with pages, all.
    private var configuration: String {
        """
        include /etc/ldap/schema/core.schema
        include /etc/ldap/schema/cosine.schema
        include /etc/ldap/schema/inetorgperson.schema
        modulepath /usr/lib/ldap
        moduleload back_mdb
        pidfile \(directory)/slapd.pid
        argsfile \(directory)/slapd.args
        TLSCACertificateFile \(authorities)
        TLSCertificateFile \(directory)/cert.pem
        TLSCertificateKeyFile \(directory)/key.pem
        database mdb
        suffix "\(Self.suffix)"
        rootdn "cn=root,\(Self.suffix)"
        rootpw rootpw
        directory \(directory)/db
        maxsize 268435456
        dbnosync
        index objectClass,uid,cn,sn,member eq
        limits dn.exact="cn=search,\(Self.suffix)" size.soft=200 size.hard=200 size.prtotal=unlimited
        access to attrs=userPassword by anonymous auth by * none
        access to * by dn.exact="cn=search,\(Self.suffix)" read by * none

        """
    }

    private static func freePort() -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length)
                getsockname(descriptor, raw, &length)
            }
            return Int(UInt16(bigEndian: pointer.pointee.sin_port))
        }
    }

    /// The `[ldap]` of a domain that is kept here.
    func options(_ changes: [String: JSON] = [:]) throws -> LDAPOptions {
        var values: [String: JSON] = [
            "url": .string(url), "suffix": .string(Self.suffix), "user": .string("cn=search,\(Self.suffix)"),
            "password": "searching", "page_size": 100, "query_scope": "sub",
            "user_tree_dn": .string("ou=people,\(Self.suffix)"), "user_id_attribute": "uid",
            "user_name_attribute": "uid", "user_enabled_attribute": "employeeType", "user_enabled_mask": 2,
            "user_enabled_default": "512", "group_tree_dn": .string("ou=groups,\(Self.suffix)"),
            "group_name_attribute": "cn", "group_ad_nesting": true,
            "user_additional_attribute_mapping": ["title:job"],
        ]
        values.merge(changes) { $1 }
        return try LDAPOptions(DomainConfiguration(["ldap": values]), of: "corp")
    }

    func open(_ changes: [String: JSON] = [:]) throws -> LDAPDirectory {
        LDAPDirectory(try options(changes), chance: RandomIdentifiers(), clock: MachineClock(), log: .silent)
    }
}

/// Who works at the company: `user-0` to `user-999`, every tenth disabled, one with a name full of signs, and groups
/// within groups, one of them in itself.
enum Company {
    static let oddName = "O'Neil, Zoë (ops*)"

    static var ldif: String {
        let suffix = PrivateSlapd.suffix
        var text = """
            dn: \(suffix)
            objectClass: dcObject
            objectClass: organization
            dc: corp
            o: Corp

            dn: cn=search,\(suffix)
            objectClass: organizationalRole
            objectClass: simpleSecurityObject
            cn: search
            userPassword: searching

            dn: ou=people,\(suffix)
            objectClass: organizationalUnit
            ou: people

            dn: ou=far,ou=people,\(suffix)
            objectClass: organizationalUnit
            ou: far

            dn: ou=groups,\(suffix)
            objectClass: organizationalUnit
            ou: groups


            """
        for number in 0..<PrivateSlapd.userCount {
            text += user("uid=user-\(number),ou=people,\(suffix)", "user-\(number)", number % 10 == 9 ? "514" : "512")
        }
        text += user("uid=odd,ou=far,ou=people,\(suffix)", "odd", nil, surname: oddName)
        let all = (0..<300).map { "uid=user-\($0),ou=people,\(suffix)" }
        text += group("crowd", all)
        text += group("inner", ["uid=user-1,ou=people,\(suffix)", "uid=odd,ou=far,ou=people,\(suffix)"])
        text += group("middle", ["cn=inner,ou=groups,\(suffix)", "cn=middle,ou=groups,\(suffix)"])
        text += group("outer", ["cn=middle,ou=groups,\(suffix)", "UID=User-2, OU=People,\(suffix)"])
        text += group("enabled", ["uid=user-3,ou=people,\(suffix)"])
        return text
    }

    private static func user(_ place: String, _ id: String, _ type: String?, surname: String? = nil) -> String {
        """
        dn: \(place)
        objectClass: inetOrgPerson
        uid: \(id)
        cn: \(id)
        sn:: \(Base64.encode(Array((surname ?? id).utf8)))
        mail: \(id)@corp.test
        title: worker
        \(type.map { "employeeType: \($0)\n" } ?? "")userPassword: pw-\(id)


        """
    }

    private static func group(_ name: String, _ members: [String]) -> String {
        "dn: cn=\(name),ou=groups,\(PrivateSlapd.suffix)\nobjectClass: groupOfNames\ncn: \(name)\n"
            + "description: the \(name)\n" + members.map { "member: \($0)\n" }.joined() + "\n"
    }
}
