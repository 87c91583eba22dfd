// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a person and their tools need to use the cloud, written into its folder.
enum ClientFiles {
    static func write(_ directory: DataDirectory, url: String, password: String, authorities: String?) throws(Fault) {
        let exported = authorities.map { "export OS_CACERT=\($0)\n" } ?? ""
        let listed = authorities.map { "    cacert: \($0)\n" } ?? ""
        try FileSystem.write(
            """
            # Use with: . \(directory.path)/openrc
            export OS_AUTH_URL=\(url)/v3
            export OS_USERNAME=admin
            export OS_PASSWORD=\(password)
            export OS_PROJECT_NAME=admin
            export OS_USER_DOMAIN_NAME=Default
            export OS_PROJECT_DOMAIN_NAME=Default
            export OS_REGION_NAME=RegionOne
            export OS_IDENTITY_API_VERSION=3
            unset OS_CLOUD
            \(exported)
            """, to: directory.path + "/openrc", mode: 0o600)
        try FileSystem.write(
            """
            # Use with: export OS_CLIENT_CONFIG_FILE=\(directory.path)/clouds.yaml OS_CLOUD=apus
            clouds:
              apus:
                auth:
                  auth_url: \(url)/v3
                  username: admin
                  password: \(password)
                  project_name: admin
                  user_domain_name: Default
                  project_domain_name: Default
                region_name: RegionOne
                identity_api_version: 3
            \(listed)
            """, to: directory.path + "/clouds.yaml", mode: 0o600)
    }
}
