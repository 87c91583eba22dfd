// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Calls that went with PKI tokens. Upstream still answers them, in these words.
enum RemovedCalls: Resource {
    static let routes: [Route] = [
        .open("GET", "/OS-SIMPLE-CERT/ca", "Show CA certificate (removed)", status: 410, gone),
        .open("GET", "/OS-SIMPLE-CERT/certificates", "Show signing certificate (removed)", status: 410, gone),
        .open("GET", "/auth/tokens/OS-PKI/revoked", "List revoked tokens (removed)", status: 403) {
            request throws(Fault) in
            guard request.identity.options.tokens.canRevoke else {
                throw .gone("The requested resource is no longer available.")
            }
            throw .forbidden("You are not authorized to perform the requested action.")
        },
    ]

    private static func gone(_ request: Request) async throws(Fault) -> Reply {
        throw .gone("This API is no longer available due to the removal of support for PKI tokens.")
    }
}
