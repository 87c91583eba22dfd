// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct ImageOptionsTests {
    @Test("Options have upstream's names and defaults")
    func names() throws {
        let sample = Configuration.sample([ImageOptions.self])
        for name in ["limit_param_default", "api_limit_max", "image_size_cap", "image_member_quota"] {
            #expect(sample.contains(name))
        }
    }

    @Test("Quotas on tags, properties and members are kept, also by patches")
    func quotas() async throws {
        var options = ImageOptions()
        options.tagQuota = 1
        options.propertyQuota = 1
        options.memberQuota = 1
        let cloud = try await ImageCloud(options: options)
        #expect(await cloud.call("POST", "/images", ["tags": ["a", "b"]]).status == 413)
        #expect(await cloud.call("POST", "/images", ["p": "1", "q": "2"]).status == 413)
        let id = await cloud.make(["tags": ["a"], "p": "1"])
        #expect(await cloud.call("PUT", "/images/\(id)/tags/b").status == 413)
        #expect(await cloud.patch(id, [["op": "add", "path": "/q", "value": "2"]]).status == 413)
        #expect(await cloud.call("POST", "/images/\(id)/members", ["member": "b"]).status == 200)
        #expect(await cloud.call("POST", "/images/\(id)/members", ["member": "c"]).status == 413)
    }
}
