// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// An element of an XML document, with its own text and what lies in it. Comments are gone, and so are the pieces that
/// they cut a text into.
package struct XMLElement: Sendable, Equatable {
    package let namespace: String
    package let name: String
    /// Those without a namespace, which are all that SAML has.
    package let attributes: [String: String]
    package let text: String
    package let children: [XMLElement]

    package init(
        _ namespace: String, _ name: String, _ attributes: [String: String] = [:], text: String = "",
        _ children: [XMLElement] = []
    ) {
        self.namespace = namespace
        self.name = name
        self.attributes = attributes
        self.text = text
        self.children = children
    }

    func all(_ namespace: String, _ name: String) -> [XMLElement] {
        children.filter { $0.namespace == namespace && $0.name == name }
    }

    func first(_ namespace: String, _ name: String) -> XMLElement? {
        children.first { $0.namespace == namespace && $0.name == name }
    }
}

/// XML and its signatures, as SAML needs them. No document may bring entities, and none reaches outside itself.
package protocol SignedXML: Sendable {
    /// What a document says, none of it proved; 400 when it is no XML or has a document type.
    func parse(_ document: [UInt8]) throws(Fault) -> XMLElement

    /// The one assertion of a SAML response, in a SOAP envelope or not, when it or the response around it carries a
    /// signature by one of the keys. Only what is signed is returned, so that nothing beside it can be taken for it;
    /// 401 otherwise.
    /// - Parameter certificates: in PEM.
    func assertion(
        in document: [UInt8], certificates: [String], acceptsSHA1: Bool
    ) throws(Fault) -> XMLElement

    /// The document with the template of a signature in its root filled in.
    func sign(_ document: [UInt8], key: String, certificate: String) throws(Fault) -> [UInt8]
}
