// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where the broker is, under oslo.messaging's names.
package struct RabbitMQOptions: Options {
    package static let section = NotificationDrivers.section

    /// Nil without a bus.
    package var url: TransportURL?
    package var isDurable = false
    package var deletesQueues = false
    package var isQuorum = false
    package var isSecure = false
    package var checksName = false
    package var authorities: String?
    package var certificate: String?
    package var key: String?

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        let drivers = NotificationDrivers(&read)
        let form = "URL such as rabbit://user:password@192.0.2.1:5672/"
        let own = read.text(
            "transport_url", form, help: "The bus that notifications go to. Unset: [DEFAULT] transport_url."
        ) { text in TransportURL(text) }
        read.section(INI.defaultSection)
        let general = read.text("transport_url", form, help: "The message bus: rabbit://user:password@host:port/.") {
            text in TransportURL(text)
        }
        url = own ?? general
        read.section("oslo_messaging_rabbit")
        isDurable = read.bool(
            "amqp_durable_queues", default: isDurable, help: "Whether exchanges and queues outlive the broker.")
        deletesQueues = read.bool(
            "amqp_auto_delete", default: deletesQueues, help: "Whether queues go with the last who listens.")
        isQuorum = read.bool(
            "rabbit_quorum_queue", default: isQuorum,
            help: "Whether queues are kept by several nodes of the broker; such queues are durable.")
        isSecure = read.bool("ssl", default: isSecure, help: "Whether the broker is spoken to over TLS.")
        authorities = read.string(
            "ssl_ca_file", help: "Certificates that the broker's must come from. Unset: it is not looked at.")
        certificate = read.string("ssl_cert_file", help: "The certificate that the broker sees.")
        key = read.string("ssl_key_file", help: "The key of that certificate.")
        checksName = read.bool(
            "ssl_enforce_hostname_verification", default: checksName,
            help: "Whether the broker's certificate must name its host, as well.")
        if (certificate == nil) != (key == nil) { read.refuse("ssl_cert_file and ssl_key_file go together.") }
        read.section(NotificationDrivers.section)
        if drivers.isSent, url == nil { read.refuse("driver = messagingv2 needs transport_url.") }
        if !drivers.isSent { url = nil }
        if isQuorum { isDurable = true }
    }
}

/// `rabbit://user:password@host:port,user:password@other:port/virtual_host`: the places are tried in their order.
package struct TransportURL: Sendable, Equatable {
    package struct Place: Sendable, Equatable {
        package var host: String
        package var port: Int
        package var user: String
        package var password: String
    }

    package let places: [Place]
    package let virtualHost: String

    /// Nil for what is none. What follows a question mark is options that the file has names for.
    package init?(_ text: String) {
        guard let scheme = text.firstRange(of: "://"), ["rabbit", "kombu"].contains(text[..<scheme.lowerBound]) else {
            return nil
        }
        let rest = text[scheme.upperBound...].prefix { $0 != "?" }
        let slash = rest.firstIndex(of: "/")
        var places: [Place] = []
        for part in rest[..<(slash ?? rest.endIndex)].split(separator: ",") {
            guard let place = TransportURL.place(part) else { return nil }
            places.append(place)
        }
        guard !places.isEmpty else { return nil }
        self.places = places
        let name = slash.flatMap { Percent.decode(rest[rest.index(after: $0)...]) } ?? ""
        virtualHost = name.isEmpty ? "/" : name
    }

    private static func place(_ text: Substring) -> Place? {
        var (user, password, address) = ("guest", "guest", text)
        if let at = text.lastIndex(of: "@") {
            address = text[text.index(after: at)...]
            let login = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Percent.decode(login[0]),
                let secret = login.count == 2 ? Percent.decode(login[1]) : ""
            else { return nil }
            (user, password) = (name, secret)
        }
        var port = 5672
        var host = address
        if address.first == "[", let end = address.firstIndex(of: "]") {
            host = address[address.index(after: address.startIndex)..<end]
            address = address[address.index(after: end)...]
        } else if let colon = address.lastIndex(of: ":") {
            host = address[..<colon]
            address = address[colon...]
        } else {
            address = ""
        }
        if address.first == ":" {
            guard let number = Int(address.dropFirst()), (1...65_535).contains(number) else { return nil }
            port = number
        } else if !address.isEmpty {
            return nil
        }
        return host.isEmpty || host.contains("[")
            ? nil : Place(host: String(host), port: port, user: user, password: password)
    }
}
