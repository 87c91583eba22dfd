// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a service answers; nil where it answers that there is no such thing (404).
func orNil<Value>(_ deed: () async throws(Fault) -> Value) async throws(Fault) -> Value? {
    do throws(Fault) {
        return try await deed()
    } catch {
        if error.status == 404 { return nil }
        throw error
    }
}
