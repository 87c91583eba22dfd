// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Testing

struct ReceiptTests {
    private let methods = ["password", "token", "totp"]

    @Test(
        "A receipt says whose it is, what was proved and until when",
        arguments: [
            "0123456789abcdef0123456789abcdef", "a user with another id",
        ])
    func roundTrip(userID: String) throws {
        let receipt = Receipt(userID: userID, methods: ["totp"], expiresAt: Timestamp(seconds: 1_800_000_000))
        #expect(try Receipt(receipt.bytes(methods: methods), methods: methods) == receipt)
    }

    @Test("What is shorter, longer or something else is none")
    func damage() {
        let bytes = Receipt(userID: "a", methods: [], expiresAt: Timestamp(seconds: 1)).bytes(methods: methods)
        for wrong in [[], Array(bytes.dropLast()), bytes + [0], [0x93, 1, 2, 3]] as [[UInt8]] {
            #expect(throws: Fault.self) { try Receipt(wrong, methods: methods) }
        }
    }
}
