// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where Designate is and who asks it: `[designate]`, under the names of Neutron's driver.
package struct DesignateOptions: Options, Hashable {
    package static let section = "designate"

    /// Who logs in, and where.
    package struct Login: Sendable, Hashable {
        package var authURL: String
        package var user: String
        package var password: String
        package var project: String
        package var userDomain: String
        package var projectDomain: String

        package init(
            authURL: String, user: String, password: String, project: String, userDomain: String = "Default",
            projectDomain: String = "Default"
        ) {
            self.authURL = authURL
            self.user = user
            self.password = password
            self.project = project
            self.userDomain = userDomain
            self.projectDomain = projectDomain
        }
    }

    package var url: String?
    /// Nil: this cloud's own administrator.
    package var login: Login?
    package var authorities: String?
    package var isInsecure = false
    /// Whether addresses lead back to names (PTR).
    package var allowsReverse = true
    package var reversePrefix4 = 24
    package var reversePrefix6 = 120
    package var reverseEmail = ""

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        url = read.text("url", "URL such as http://192.0.2.1:9001/v2", help: "Where Designate's API is.") { text in
            text.hasPrefix("http://") || text.hasPrefix("https://") ? text : nil
        }
        let authURL = read.string(
            "auth_url", default: "",
            help: "The identity service that Designate trusts. Unset: this cloud's own, as its administrator.")
        let user = read.string("username", default: "neutron", help: "Who asks Designate.")
        let password = read.string("password", default: "", help: "The password of who asks.")
        let project = read.string("project_name", default: "service", help: "The project of who asks.")
        let userDomain = read.string("user_domain_name", default: "Default", help: "The domain of who asks.")
        let projectDomain = read.string("project_domain_name", default: "Default", help: "The domain of the project.")
        if !authURL.isEmpty {
            login = Login(
                authURL: authURL, user: user, password: password, project: project, userDomain: userDomain,
                projectDomain: projectDomain)
        }
        authorities = read.text("cafile", "path", help: "Certificates to trust instead of the system's.") { $0 }
        isInsecure = read.bool("insecure", default: false, help: "Whether Designate's certificate is not looked at.")
        allowsReverse = read.bool(
            "allow_reverse_dns_lookup", default: allowsReverse, help: "Whether PTR records are made, too.")
        reversePrefix4 = read.int(
            "ipv4_ptr_zone_prefix_size", default: reversePrefix4, in: 8...24,
            help: "How many bits of an IPv4 address name the zone of its PTR record: 8, 16 or 24.")
        if reversePrefix4 % 8 != 0 { read.refuse("ipv4_ptr_zone_prefix_size is no multiple of 8.") }
        reversePrefix6 = read.int(
            "ipv6_ptr_zone_prefix_size", default: reversePrefix6, in: 4...124,
            help: "How many bits of an IPv6 address name the zone of its PTR record, a multiple of 4.")
        if reversePrefix6 % 4 != 0 { read.refuse("ipv6_ptr_zone_prefix_size is no multiple of 4.") }
        reverseEmail = read.string(
            "ptr_zone_email", default: "", help: "The address in PTR zones. Unset: admin@ and the name's domain.")
    }
}
