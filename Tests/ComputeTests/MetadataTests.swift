// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// What guests read of themselves, from the service and from the drive.
struct MetadataTests {
    private static func cloud(_ change: (inout ComputeOptions) -> Void = { _ in }) async throws -> ComputeCloud {
        var options = ComputeOptions()
        change(&options)
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        return cloud
    }

    private static func signed(_ path: String, _ id: String, secret: String = "s3cret", project: String) -> HTTPRequest
    {
        let signature = Hex.encode(HMAC.bytes(.sha256, key: Array(secret.utf8), Array(id.utf8)))
        return HTTPRequest(
            method: "GET", path: path,
            headers: ["X-Instance-ID": id, "X-Tenant-ID": project, "X-Instance-ID-Signature": signature])
    }

    private func ask(_ cloud: ComputeCloud, _ path: String, _ id: String) async throws -> (status: Int, text: String) {
        let server = try #require(try await cloud.room.database.first(Server.self, "id = \(id)"))
        let reply = await MetadataService(cloud.room).handle(
            Self.signed(path, id, project: server.projectID), network: nil)
        guard case .bytes(let bytes) = reply.body else { return (reply.status, "") }
        return (reply.status, String(decoding: bytes, as: UTF8.self))
    }

    private static func withSecret(_ options: inout ComputeOptions) { options.metadata.proxySecret = "s3cret" }

    @Test("A proxy is believed when it signs the server's id, and only then")
    func signatures() async throws {
        let cloud = try await Self.cloud(Self.withSecret)
        let id = try await cloud.server()
        #expect(try await ask(cloud, "/openstack/latest/meta_data.json", id).status == 200)
        let server = try #require(try await cloud.room.database.first(Server.self, "id = \(id)"))
        let service = MetadataService(cloud.room)
        let path = "/openstack/latest/meta_data.json"
        func status(_ http: HTTPRequest) async -> Int { await service.handle(http, network: nil).status }
        #expect(await status(Self.signed(path, id, secret: "other", project: server.projectID)) == 403)
        #expect(await status(Self.signed(path, id, project: "another")) == 404)
        #expect(await status(HTTPRequest(method: "GET", path: path, headers: ["X-Instance-ID": id])) == 400)
        #expect(await status(HTTPRequest(method: "GET", path: path)) == 400)
        let closed = try await Self.cloud()
        #expect(
            await MetadataService(closed.room).handle(
                Self.signed(path, id, project: "p"), network: nil
            ).status == 404)
    }

    @Test("Each version has what it had when it was published")
    func versions() async throws {
        let cloud = try await Self.cloud(Self.withSecret)
        let id = try await cloud.server(["metadata": ["role": "db"], "user_data": "aGVsbG8="])
        let listed = try await ask(cloud, "/openstack", id).text.split(separator: "\n")
        #expect(listed.first == "2012-08-10" && listed.last == "latest" && listed.count == 11)
        let names = try await ask(cloud, "/openstack/2012-08-10", id).text
        #expect(names == "meta_data.json\nuser_data")
        let all = try await ask(cloud, "/openstack/latest/", id).text.split(separator: "\n")
        #expect(
            all == [
                "meta_data.json", "user_data", "password", "vendor_data.json", "network_data.json", "vendor_data2.json",
            ])
        let members = [
            "random_seed": "2013-04-04", "project_id": "2015-10-15", "devices": "2016-06-30",
            "dedicated_cpus": "2020-10-14",
        ]
        for version in GuestDocuments.Version.allCases {
            let text = try await ask(cloud, "/openstack/\(version.rawValue)/meta_data.json", id).text
            let json = try JSON.parse(text)
            #expect(json["uuid"]?.string == id && json["meta"]?["role"]?.string == "db")
            #expect(json["hostname"]?.string == "web.novalocal" && json["admin_pass"] == nil)
            for (member, since) in members {
                #expect((json[member] != nil) == (version.rawValue >= since), "\(member) in \(version)")
            }
        }
        #expect(try await ask(cloud, "/openstack/2012-08-10/vendor_data.json", id).status == 404)
        #expect(try await ask(cloud, "/openstack/2013-10-17/vendor_data.json", id).text == "{}")
        #expect(try await ask(cloud, "/openstack/latest/vendor_data2.json", id).text == "{\"static\":{}}")
        #expect(try await ask(cloud, "/openstack/latest/user_data", id).text == "hello")
        for path in ["/openstack/2014-01-01", "/openstack/latest/nothing", "/2010-01-01/", "/openstack/content/0000"] {
            #expect(try await ask(cloud, path, id).status == 404, "\(path)")
        }
    }

    @Test("EC2's tree is complete, and grows with its versions")
    func ec2() async throws {
        let cloud = try await Self.cloud(Self.withSecret)
        let id = try await cloud.server()
        #expect(try await ask(cloud, "/", id).text.hasPrefix("1.0\n2007-01-19\n"))
        let first = try await ask(cloud, "/1.0/meta-data/", id).text
        #expect(
            first.split(separator: "\n") == [
                "ami-id", "ami-launch-index", "ami-manifest-path", "hostname", "instance-id", "local-ipv4",
                "reservation-id", "security-groups",
            ])
        let last = try await ask(cloud, "/ec2/latest/meta-data", id).text.split(separator: "\n")
        #expect(last.contains("block-device-mapping/") && last.contains("placement/") && last.count == 15)
        #expect(try await ask(cloud, "/latest/meta-data/instance-type", id).text == "f-small")
        #expect(try await ask(cloud, "/latest/meta-data/placement/availability-zone", id).text == "nova")
        #expect(try await ask(cloud, "/latest/meta-data/security-groups", id).text == "default")
        #expect(try await ask(cloud, "/latest/meta-data/block-device-mapping/root", id).text == "/dev/vda")
        #expect(try await ask(cloud, "/latest/meta-data/nothing", id).status == 404)
        #expect(try await ask(cloud, "/latest/user-data", id).status == 404)
    }

    @Test("A guest posts its password once, and no more than there is room for")
    func password() async throws {
        let cloud = try await Self.cloud(Self.withSecret)
        let id = try await cloud.server()
        let server = try #require(try await cloud.room.database.first(Server.self, "id = \(id)"))
        func post(_ text: String, _ method: String = "POST") async -> Int {
            var http = Self.signed("/openstack/latest/password", id, project: server.projectID)
            http.method = method
            http.body = HTTPBody(bytes: Array(text.utf8))
            return await MetadataService(cloud.room).handle(http, network: nil).status
        }
        #expect(await post("x", "PUT") == 400)
        #expect(await post(String(repeating: "x", count: 1021)) == 400)
        #expect(await post("secret") == 200)
        #expect(await post("other") == 409)
        #expect(try await ask(cloud, "/openstack/latest/password", id).text == "secret")
    }

    @Test("The drive has the same documents, and the password besides")
    func drive() async throws {
        let cloud = try await Self.cloud { $0.metadata.forcesDrive = true }
        let id = try await cloud.server(["adminPass": "opensesame"])
        let spec = await cloud.hosts["host-1"]?.spec(of: id)
        let files = try #require(spec?.configDrive?.files)
        let versions = Set(files.keys.filter { $0.hasPrefix("openstack/") }.map { $0.split(separator: "/")[1] })
        #expect(versions.count == 11)
        #expect(files["ec2/latest/meta-data.json"] != nil && files["ec2/2009-04-04/meta-data.json"] != nil)
        #expect(files["ec2/1.0/meta-data.json"] == nil, "what config_drive_skip_versions names is left out")
        let json = try JSON.parse(try #require(files["openstack/latest/meta_data.json"]))
        #expect(json["admin_pass"]?.string == "opensesame")
        #expect(files["openstack/2012-08-10/network_data.json"] == nil)
        #expect(files["openstack/latest/password"] == nil)
    }

    @Test("Networks are told with their servers, and all that a guest without DHCP must know")
    func network() async throws {
        let cloud = try await Self.cloud(Self.withSecret)
        let id = try await cloud.server()
        let path = "/openstack/latest/network_data.json"
        let json = try JSON.parse(try await ask(cloud, path, id).text)
        #expect(json["services"] == [["type": "dns", "address": "9.9.9.9"]])
        #expect(json["networks"]?[0]?["type"]?.string == "ipv4_dhcp" && json["networks"]?[0]?["routes"] == nil)
        #expect(json["links"]?[0]?["type"]?.string == "ovs" && json["links"]?[0]?["mtu"]?.integer == 1442)
        cloud.network.state.withLock {
            $0.subnets = [
                [
                    "id": "s1", "ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "enable_dhcp": false,
                    "dns_nameservers": [], "host_routes": [["destination": "10.9.0.0/16", "nexthop": "10.0.0.9"]],
                ],
                [
                    "id": "s2", "ip_version": 6, "cidr": "fd00::/64", "gateway_ip": "fd00::1", "enable_dhcp": true,
                    "ipv6_address_mode": "slaac", "dns_nameservers": ["fd00::9"], "host_routes": [],
                ],
            ]
            for id in $0.ports.keys {
                $0.ports[id]?["fixed_ips"] = [
                    ["subnet_id": "s1", "ip_address": "10.0.0.10"], ["subnet_id": "s2", "ip_address": "fd00::10"],
                ]
            }
        }
        let both = try JSON.parse(try await ask(cloud, path, id).text)
        let (first, second) = (both["networks"]?[0], both["networks"]?[1])
        #expect(first?["type"]?.string == "ipv4" && first?["netmask"]?.string == "255.255.255.0")
        #expect(
            first?["routes"] == [
                ["network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"],
                ["network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.0.0.9"],
            ])
        #expect(second?["type"]?.string == "ipv6_slaac" && second?["ip_address"]?.string == "fd00::10")
        #expect(second?["netmask"]?.string == "ffff:ffff:ffff:ffff::")
        #expect(both["services"] == [["type": "dns", "address": "fd00::9"]])
    }

    @Test(
        "Netmasks are spelled out",
        arguments: [
            ("10.0.0.0/24", "255.255.255.0"), ("10.0.0.0/9", "255.128.0.0"), ("0.0.0.0/0", "0.0.0.0"),
            ("fd00::/64", "ffff:ffff:ffff:ffff::"), ("fd00::/49", "ffff:ffff:ffff:8000::"),
            ("1.2.3.4/32", "255.255.255.255"),
        ])
    func netmasks(cidr: String, mask: String) { #expect(NetworkDocument.netmask(cidr) == mask) }
}
