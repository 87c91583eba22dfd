// SPDX-License-Identifier: Apache-2.0
package import Base
package import Config

/// Where the APIs answer and how they prove who they are: `[DEFAULT] bind_host` and `[ssl]`.
package struct ListenOptions: Options {
    package static let section = INI.defaultSection

    package let address: String
    private let publicName: String?
    private let certificatePath: String?
    private let keyPath: String?
    /// The authorities that clients must trust, as a path; only passed on to them.
    package let authoritiesPath: String?

    package init(_ read: inout OptionReader) {
        address = read.string(
            "bind_host", default: "127.0.0.1", help: "The address that the APIs listen on; 0.0.0.0 and :: mean all.")
        publicName = read.string(
            "public_host",
            help: "The name or address in the catalog's URLs. Unset means bind_host, or this machine alone if that is "
                + "all.")
        read.section("ssl")
        certificatePath = read.string(
            "cert_file", help: "A PEM file: the certificate of every API, its chain below it. Unset means plain HTTP.")
        keyPath = read.string("key_file", help: "A PEM file: the key of cert_file.")
        authoritiesPath = read.string(
            "ca_file", help: "A PEM file that clients check cert_file with; openrc and clouds.yaml name it.")
        if (certificatePath == nil) != (keyPath == nil) { read.refuse("cert_file and key_file need each other.") }
        for path in [certificatePath, keyPath, authoritiesPath].compactMap(\.self) where FileSystem.text(path) == nil {
            read.refuse("\(path) cannot be read.")
        }
    }

    package var isSecure: Bool { certificatePath != nil }

    /// The certificate and key, read now.
    package func identity() throws(Fault) -> TLSIdentity? {
        guard let certificatePath, let keyPath else { return nil }
        guard let certificate = FileSystem.text(certificatePath), let key = FileSystem.text(keyPath) else {
            throw .internalError("The certificate \(certificatePath) or its key \(keyPath) cannot be read.")
        }
        return TLSIdentity(certificate: certificate, key: key)
    }

    /// The address of a port as clients reach it.
    package func url(_ port: Int) -> String {
        let everywhere = ["0.0.0.0": "127.0.0.1", "::": "::1"]
        let host = publicName ?? everywhere[address] ?? address
        let written = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
        return "\(isSecure ? "https" : "http")://\(written):\(port)"
    }
}
