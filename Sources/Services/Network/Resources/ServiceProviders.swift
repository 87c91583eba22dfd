// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Providers of advanced services: none, and clients may ask.
package enum ServiceProviders: Resource {
    package static let routes: [Route] = [
        .get(
            "/service-providers", "List service providers", of: Anything.from,
            allow: .rule("get_service_provider", "role:reader")
        ) { _, _ in .list("service_providers", []) }
    ]
}
