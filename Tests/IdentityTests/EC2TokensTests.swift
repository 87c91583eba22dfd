// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

/// The signatures were made by keystoneclient's signer, with the keys below.
struct EC2TokensTests {
    static let (access, secret) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")

    private func cloud() async throws -> (IdentityCloud, admin: String) {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let own = await cloud.call("GET", "/v3/auth/tokens", token: admin, headers: [("X-Subject-Token", admin)])
        let blob: JSON = ["access": .string(Self.access), "secret": .string(Self.secret)]
        _ = await cloud.make(
            "credential",
            [
                "user_id": own["token"]["user"]?["id"] ?? .null, "project_id": own["token"]["project"]?["id"] ?? .null,
                "type": "ec2", "blob": .string(blob.text()),
            ], token: admin)
        return (cloud, admin)
    }

    private static let authorization = JSON.string(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/RegionOne/ec2/aws4_request,"
            + "SignedHeaders=host;x-amz-date,Signature=x")

    static let signed: [(String, JSON)] = [
        (
            "0",
            [
                "access": "AKIDEXAMPLE", "host": "cloud.test:8788", "verb": "GET", "path": "/services/Cloud",
                "params": ["SignatureVersion": "0", "Action": "Describe", "Timestamp": "2027-01-15T08:00:00Z"],
                "signature": "FzIdUZBxoavVCaieiRIOx95n9Ak=",
            ]
        ),
        (
            "1",
            [
                "access": "AKIDEXAMPLE", "host": "cloud.test:8788", "verb": "GET", "path": "/services/Cloud",
                "params": [
                    "SignatureVersion": "1", "Action": "Describe", "Timestamp": "2027-01-15T08:00:00Z",
                    "Name": "a b/c~é",
                ], "signature": "RG0nZ904P/nzahh8AYdFnDSADfw=",
            ]
        ),
        (
            "2",
            [
                "access": "AKIDEXAMPLE", "host": "cloud.test:8788", "verb": "GET", "path": "/services/Cloud",
                "params": [
                    "SignatureVersion": "2", "Action": "Describe", "Timestamp": "2027-01-15T08:00:00Z",
                    "SignatureMethod": "HmacSHA256", "Name": "a b/c~é",
                ], "signature": "L6P7tliAumBXc0QKYJQJLgFJcC+viq/Oj8vnTg25Bpk=",
            ]
        ),
        (
            "2, the port left out",
            [
                "access": "AKIDEXAMPLE", "host": "cloud.test:8788", "verb": "GET", "path": "/services/Cloud",
                "params": [
                    "SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "Action": "Describe",
                    "Timestamp": "2027-01-15T08:00:00Z",
                ], "signature": "UB64vFWTOiA7hVqMSQw0bJ23tNVamdNUqqs3R4vbKZw=",
            ]
        ),
        (
            "4",
            [
                "access": "AKIDEXAMPLE", "host": "cloud.test:8788", "verb": "GET", "path": "/services/Cloud",
                "params": ["Action": "Describe"],
                "headers": [
                    "Authorization": authorization,
                    "X-Amz-Date": "20270115T080000Z", "Host": "cloud.test:8788",
                ], "body_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "signature": "6ddf7ff95ed55a522a40dddfd48c6777bbc24b1cfbdfa1e3be6a1491f7f589d6",
            ]
        ),
        (
            "4, in parameters",
            [
                "access": "AKIDEXAMPLE", "host": "cloud.test:8788", "verb": "GET", "path": "/services/Cloud",
                "params": [
                    "Action": "Describe", "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                    "X-Amz-Credential": "AKIDEXAMPLE/20270115/RegionOne/ec2/aws4_request",
                    "X-Amz-Date": "20270115T080000Z", "X-Amz-SignedHeaders": "host",
                ], "headers": ["Host": "cloud.test:8788"], "body_hash": "",
                "signature": "ecfdf0938f3366ad7af5dbc3f3030566865a000bf9ec269f62a4f294686f7679",
            ]
        ),
    ]

    @Test("What keystoneclient signs is known, in each version, and nothing that was changed since", arguments: signed)
    func ec2(version: String, credentials: JSON) async throws {
        let (cloud, admin) = try await cloud()
        let answer = await cloud.call("POST", "/v3/ec2tokens", ["credentials": credentials], token: admin)
        #expect(answer.status == 200)
        #expect(answer["token"]["user"]?["name"] == "admin" && answer["token"]["methods"] == ["ec2credential"])
        let token = answer.header("X-Subject-Token") ?? ""
        #expect(await cloud.call("GET", "/v3/auth/projects", token: token).status == 200)
        var forged = credentials
        forged["params"]?["Action"] = "Other"
        #expect(await cloud.call("POST", "/v3/ec2tokens", ["credentials": forged], token: admin).status == 401)
        forged = credentials
        forged["signature"] = nil
        #expect(await cloud.call("POST", "/v3/ec2tokens", ["credentials": forged], token: admin).status == 401)
        cloud.clock.advance(.seconds(15 * 60 + 1))
        #expect(await cloud.call("POST", "/v3/ec2tokens", ["credentials": credentials], token: admin).status == 401)
    }

    @Test("Only services and administrators may ask, and keys that are not there are not found")
    func callers() async throws {
        let (cloud, admin) = try await cloud()
        let body: JSON = ["credentials": Self.signed[0].1]
        #expect(await cloud.call("POST", "/v3/ec2tokens", body).status == 401)
        _ = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let ann = await cloud.token("ann", "one", scope: nil)
        #expect(await cloud.call("POST", "/v3/ec2tokens", body, token: ann).status == 403)
        #expect(await cloud.call("POST", "/v3/s3tokens", body, token: ann).status == 403)
        let missing = await cloud.call(
            "POST", "/v3/ec2tokens", ["credentials": ["access": "x", "signature": "y", "params": [:]]], token: admin)
        #expect(missing.status == 404)
        #expect(missing["error"]["message"]?.string == "EC2 access key not found.")
        #expect(await cloud.call("POST", "/v3/ec2tokens", [:], token: admin).status == 400)
        #expect(await cloud.call("POST", "/v3/ec2tokens", ["credentials": [:]], token: admin).status == 401)
    }

    @Test("S3 services learn who signed, and get no token")
    func s3() async throws {
        let (cloud, admin) = try await cloud()
        let text = Array("GET\n\n\nFri, 15 Jan 2027 08:00:00 +0000\n/bucket/object".utf8)
        var credentials: JSON = [
            "access": .string(Self.access), "token": .string(Base64URL.encode(text, padded: true)),
            "signature": .string(Base64.encode(HMAC.bytes(.sha1, key: Array(Self.secret.utf8), text))),
        ]
        let answer = await cloud.call("POST", "/v3/s3tokens", ["credentials": credentials], token: admin)
        #expect(answer.status == 200)
        #expect(answer["token"]["project"]?["name"] == "admin")
        #expect(answer.header("X-Subject-Token") == nil)
        credentials["signature"] = "AAAA"
        #expect(await cloud.call("POST", "/v3/s3tokens", ["credentials": credentials], token: admin).status == 401)
    }
}
