// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Tables that no route is about.
enum Records: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] =
        QuotaRecord.migrations + ComputeHost.migrations
}
