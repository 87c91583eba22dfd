// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Servers of signed images, with keys, certificates and signatures as OpenSSL's own program makes them.
struct SignedImagesTests {
    private static let (root, stranger, signer) = ("root-id", "stranger-id", "signer-id")

    private struct Keys {
        let certificates: [String: [UInt8]]
        let signature: String
    }

    /// A root, a certificate of its issue that signed the bytes of `FakeImages`, and a root that has no part in it.
    private static func keys() async throws -> Keys {
        let folder = try FileSystem.makeTemporaryDirectory("signed-images")
        defer { FileSystem.remove(folder) }
        try FileSystem.write([UInt8](repeating: 7, count: 4096), to: "\(folder)/data")
        let script = """
            cd \(folder) && for name in root stranger; do
                openssl req -x509 -newkey rsa:2048 -nodes -keyout $name.key -subj /CN=$name -out $name.crt || exit 1
            done
            openssl req -new -newkey rsa:2048 -nodes -keyout signer.key -subj /CN=signer -out signer.csr \
            && openssl x509 -req -in signer.csr -CA root.crt -CAkey root.key -CAcreateserial -out signer.crt \
            && openssl dgst -sha256 -sign signer.key -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max \
                -out sig data
            """
        let output = try await Subprocess.run(
            ["sh", "-c", script], timeout: .seconds(60), on: BlockingPool(name: "openssl", threads: 1, queue: 4))
        #expect(output.status == 0, "\(output.complaint)")
        var certificates: [String: [UInt8]] = [:]
        for (id, name) in [(root, "root"), (stranger, "stranger"), (signer, "signer")] {
            let bytes: [UInt8] = try #require(FileSystem.read("\(folder)/\(name).crt"))
            certificates[id] = bytes
        }
        return Keys(
            certificates: certificates, signature: Base64.encode(try #require(FileSystem.read("\(folder)/sig"))))
    }

    private func cloud(
        _ keys: Keys, isSigned: Bool = true, _ change: (inout SignatureOptions) -> Void = { _ in }
    ) async throws -> ComputeCloud {
        var options = ComputeOptions()
        change(&options.signatures)
        let cloud = try await ComputeCloud(options: options, certificates: keys.certificates)
        await cloud.flavor()
        guard isSigned else { return cloud }
        cloud.images.state.withLock { state in
            for (name, value) in [
                ("img_signature", keys.signature), ("img_signature_hash_method", "SHA-256"),
                ("img_signature_key_type", "RSA-PSS"), ("img_signature_certificate_uuid", Self.signer),
            ] { state.images[FakeImages.id]?[name] = .string(value) }
        }
        return cloud
    }

    private func boot(_ cloud: ComputeCloud, trusting certificates: JSON? = nil) async throws -> TestCloud.Answer {
        var draft: JSONObject = [
            "name": "signed", "flavorRef": "small", "imageRef": .string(FakeImages.id), "networks": "none",
        ]
        if let certificates { draft["trusted_image_certificates"] = certificates }
        let made = await cloud.call("POST", "/servers", ["server": .object(draft)], at: "2.63")
        #expect(made.status == 202, "\(made.json.text())")
        try await cloud.work()
        return await cloud.call("GET", "/servers/\(made["server"]["id"]?.string ?? "")", at: "2.63")
    }

    private func outcome(_ answer: TestCloud.Answer) -> String {
        let server = answer["server"]
        return server["status"]?.string == "ACTIVE" ? "ACTIVE" : server["fault"]?["message"]?.string ?? "\(answer.json)"
    }

    @Test("Where signatures are verified, only what was signed boots")
    func verified() async throws {
        let keys = try await Self.keys()
        #expect(outcome(try await boot(try await cloud(keys) { $0.verifies = true })) == "ACTIVE")
        let bare = outcome(try await boot(try await cloud(keys, isSigned: false) { $0.verifies = true }))
        #expect(bare.contains("Required image properties for signature verification do not exist"), "\(bare)")
        let cloud = try await cloud(keys) { $0.verifies = true }
        cloud.images.state.withLock { $0.images[FakeImages.id]?["img_signature"] = "AAAA" }
        #expect(outcome(try await boot(cloud)).contains("Signature verification failed"))
        #expect(outcome(try await boot(try await self.cloud(keys, isSigned: false))) == "ACTIVE")
    }

    @Test("A signature must lead to a certificate that the server trusts, whatever the operator wants")
    func trusted() async throws {
        let keys = try await Self.keys()
        let right = try await boot(try await cloud(keys), trusting: [.string(Self.root)])
        #expect(outcome(right) == "ACTIVE")
        #expect(right["server"]["trusted_image_certificates"] == [.string(Self.root)])
        for name in [Self.stranger, "nowhere"] {
            let wrong = outcome(try await boot(try await cloud(keys), trusting: [.string(name)]))
            #expect(wrong.contains("certificate validation failed for certificate: \(Self.signer)"), "\(wrong)")
        }
    }

    @Test("The operator's certificates are trusted where a server names none")
    func defaults() async throws {
        let keys = try await Self.keys()
        let cloud = try await cloud(keys) {
            $0.verifies = true
            $0.validatesCertificates = true
            $0.trusted = [Self.root]
        }
        let server = try await boot(cloud)
        #expect(outcome(server) == "ACTIVE")
        #expect(server["server"]["trusted_image_certificates"] == [.string(Self.root)])
        let none = try await self.cloud(keys) {
            $0.verifies = true
            $0.validatesCertificates = true
        }
        #expect(outcome(try await boot(none)).contains("no trusted certificate IDs were provided"))
    }

    @Test(
        "Trusted certificates are 1 to 50 names, each once, since 2.63",
        arguments: [("2.62", ["a"]), ("2.63", []), ("2.63", ["a", "a"]), ("2.63", [""]), ("2.63", "a")]
            as [(String, JSON)])
    func refused(version: String, certificates: JSON) async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let made = await cloud.call(
            "POST", "/servers",
            [
                "server": [
                    "name": "a", "flavorRef": "small", "imageRef": .string(FakeImages.id), "networks": "none",
                    "trusted_image_certificates": certificates,
                ]
            ], at: version)
        #expect(made.status == 400, "\(made.json.text())")
    }
}
