// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

/// Keys and signatures as OpenSSL's own program makes them.
struct ImageSignatureTests {
    private static let certificateID = "5908a6a8-3b1c-4a2e-8b2a-6a4f1b1f0a01"
    private static let bytes = Array("signed bytes".utf8)

    private struct Signed {
        let certificate: [UInt8]
        let signature: String
    }

    private func sign(_ key: String, _ options: String, _ hash: String) async throws -> Signed {
        let folder = try FileSystem.makeTemporaryDirectory("image-signature")
        defer { FileSystem.remove(folder) }
        try FileSystem.write(Self.bytes, to: "\(folder)/data")
        let script = """
            cd \(folder) && \(key) && openssl req -new -x509 -key key -subj /CN=test -out cert \
            && openssl dgst -\(hash) -sign key \(options) -out sig data
            """
        let output = try await Subprocess.run(
            ["sh", "-c", script], timeout: .seconds(60), on: BlockingPool(name: "openssl", threads: 1, queue: 4))
        #expect(output.status == 0, "\(output.complaint)")
        return Signed(
            certificate: try #require(FileSystem.read("\(folder)/cert")),
            signature: Base64.encode(try #require(FileSystem.read("\(folder)/sig"))))
    }

    private func cloud(_ signed: Signed) async throws -> ImageCloud {
        let certificates = FakeCertificates([Self.certificateID: signed.certificate])
        return try await ImageCloud(ports: ImagePorts(certificates: certificates))
    }

    private func draft(_ signed: Signed, _ type: String, _ hash: String) -> JSON {
        [
            "disk_format": "raw", "container_format": "bare", "img_signature": .string(signed.signature),
            "img_signature_hash_method": .string(hash), "img_signature_key_type": .string(type),
            "img_signature_certificate_uuid": .string(Self.certificateID),
        ]
    }

    static let kinds = [
        (
            "RSA-PSS", "SHA-256", "openssl genrsa -out key 2048",
            "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max"
        ),
        ("ECC_SECP384R1", "SHA-384", "openssl ecparam -genkey -name secp384r1 -noout -out key", ""),
        ("ECC_SECT571R1", "SHA-512", "openssl ecparam -genkey -name sect571r1 -noout -out key", ""),
        (
            "DSA", "SHA-224",
            "openssl dsaparam -out p 2048 2> /dev/null && openssl gendsa -out key p 2> /dev/null", ""
        ),
    ]

    @Test("Bytes that were signed are taken, others are not", arguments: kinds)
    func signed(type: String, hash: String, key: String, options: String) async throws {
        let signed = try await sign(key, options, hash.lowercased().replacing("-", with: ""))
        let cloud = try await cloud(signed)
        let good = await cloud.make(draft(signed, type, hash))
        let answer = await cloud.upload(good, Self.bytes)
        #expect(answer.status == 204, "\(answer.message)")
        let bad = await cloud.make(draft(signed, type, hash))
        let refused = await cloud.upload(bad, Self.bytes + [0])
        #expect(refused.status == 400)
        #expect(refused.message.contains("Signature verification failed"))
        #expect(await cloud.show(bad)["status"].string == "queued")
        #expect(cloud.store.locations.count == 1)
    }

    @Test("A signature that cannot be checked refuses the bytes, and one that is not whole is none")
    func unchecked() async throws {
        let signed = try await sign(Self.kinds[0].2, Self.kinds[0].3, "sha256")
        let cloud = try await cloud(signed)
        let whole = draft(signed, "RSA-PSS", "SHA-256").object ?? JSONObject()
        for (member, value) in [
            ("img_signature", "***"), ("img_signature_hash_method", "MD5"), ("img_signature_key_type", "ED25519"),
            ("img_signature_key_type", "ECC_SECP384R1"),
            ("img_signature_certificate_uuid", "5908a6a8-3b1c-4a2e-8b2a-6a4f1b1f0a02"),
        ] {
            var body = whole
            body[member] = .string(value)
            let id = await cloud.make(.object(body))
            #expect(await cloud.upload(id, Self.bytes).status == 400, "\(member) = \(value)")
            #expect(await cloud.show(id)["status"].string == "queued")
        }
        var some = whole
        some.removeValue(forKey: "img_signature_hash_method")
        #expect(await cloud.upload(await cloud.make(.object(some)), [1]).status == 204)
    }

    @Test("Imported bytes are checked as well")
    func imported() async throws {
        let signed = try await sign(Self.kinds[0].2, Self.kinds[0].3, "sha256")
        let cloud = try await cloud(signed)
        for (bytes, status) in [(Self.bytes, "active"), ([1, 2], "queued")] {
            let id = await cloud.make(draft(signed, "RSA-PSS", "SHA-256"))
            _ = await cloud.cloud.send(
                "image", "PUT", "/v2/images/\(id)/stage", bytes: bytes, type: "application/octet-stream")
            _ = await cloud.call("POST", "/images/\(id)/import", ["method": ["name": "glance-direct"]])
            try await cloud.work()
            #expect(await cloud.show(id)["status"].string == status)
        }
    }
}
