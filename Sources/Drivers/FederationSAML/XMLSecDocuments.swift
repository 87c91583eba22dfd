// SPDX-License-Identifier: Apache-2.0
internal import CXmlSec
package import Identity
package import Kernel

/// SAML's documents by libxml2 and xmlsec.
///
/// What an assertion is read from is the very node whose signature was checked, and a document in which anything could
/// be mistaken for it is refused: a second assertion, a second signature, an id used twice, a signature elsewhere.
package struct XMLSecDocuments: SignedXML {
    static let limit = 512 * 1024
    static let assertion = "urn:oasis:names:tc:SAML:2.0:assertion"
    static let response = "urn:oasis:names:tc:SAML:2.0:protocol"
    static let signature = "http://www.w3.org/2000/09/xmldsig#"
    static let envelope = "http://schemas.xmlsoap.org/soap/envelope/"

    /// libxml2 and xmlsec want this once per process, before any thread uses them.
    private static let isReady = cxmlsec_init() == 0

    package init() throws(Fault) {
        guard XMLSecDocuments.isReady else { throw .internalError("xmlsec cannot be used on this machine.") }
    }

    package func parse(_ document: [UInt8]) throws(Fault) -> XMLElement {
        let open = try Document(document)
        // Its nodes are of no use once it is freed, which would be after its last mention.
        defer { withExtendedLifetime(open) {} }
        return try open.root.tree()
    }

    package func assertion(
        in document: [UInt8], certificates: [String], acceptsSHA1: Bool
    ) throws(Fault) -> XMLElement {
        let open = try Document(document)
        defer { withExtendedLifetime(open) {} }
        let response = try XMLSecDocuments.response(in: open.root)
        let assertions = response.children.filter { $0.is(XMLSecDocuments.assertion, "Assertion") }
        guard assertions.count == 1 else { throw .unauthorized() }
        let signed = [response, assertions[0]].filter { $0.child(XMLSecDocuments.signature, "Signature") != nil }
        try XMLSecDocuments.requireUnambiguous(open.root, signatures: signed.count)
        guard !signed.isEmpty else { throw .unauthorized() }
        for element in signed { try open.register(element) }
        for element in signed {
            try XMLSecDocuments.requireSigned(element, certificates, acceptsSHA1)
        }
        return try assertions[0].tree()
    }

    package func sign(_ document: [UInt8], key: String, certificate: String) throws(Fault) -> [UInt8] {
        let open = try Document(document)
        defer { withExtendedLifetime(open) {} }
        try open.register(open.root)
        guard let signature = open.root.child(XMLSecDocuments.signature, "Signature") else {
            throw .internalError("There is no place for a signature.")
        }
        let (key, certificate) = (Array(key.utf8), Array(certificate.utf8))
        let status = cxmlsec_sign(
            signature.raw, key, UInt32(key.count), certificate, UInt32(certificate.count))
        guard status == 0 else {
            throw .internalError("Unable to sign SAML assertion: the key or the certificate does not fit.")
        }
        return open.bytes()
    }

    // MARK: What must hold before a signature says anything

    /// The response: the document itself, or the one thing in the body of a SOAP envelope.
    private static func response(in root: Node) throws(Fault) -> Node {
        if root.is(response, "Response") { return root }
        guard root.is(envelope, "Envelope"), let body = root.child(envelope, "Body"), body.children.count == 1,
            body.children[0].is(response, "Response")
        else { throw .unauthorized() }
        return body.children[0]
    }

    /// Nothing in the document may be mistaken for what is signed.
    private static func requireUnambiguous(_ root: Node, signatures: Int) throws(Fault) {
        var ids: Set<String> = []
        var (found, assertions, responses) = (0, 0, 0)
        var open = [root]
        while let node = open.popLast() {
            if node.is(signature, "Signature") { found += 1 }
            if node.is(assertion, "Assertion") { assertions += 1 }
            if node.is(assertion, "EncryptedAssertion") { assertions += 1 }
            if node.is(response, "Response") { responses += 1 }
            // An Object could hold a copy of something that was signed elsewhere.
            if node.is(signature, "Object") { throw .unauthorized() }
            for name in ["ID", "Id", "id"] {
                guard let id = node.attribute(name) else { continue }
                guard ids.insert(id).inserted else { throw .unauthorized() }
            }
            open += node.children
        }
        guard found == signatures, assertions == 1, responses == 1 else { throw .unauthorized() }
    }

    /// The element's own signature is about the element, all of it, and by one of the keys.
    private static func requireSigned(
        _ element: Node, _ certificates: [String], _ acceptsSHA1: Bool
    ) throws(Fault) {
        let signatures = element.children.filter { $0.is(signature, "Signature") }
        guard signatures.count == 1, let about = signatures[0].child(signature, "SignedInfo"),
            let id = element.attribute("ID"), !id.isEmpty
        else { throw .unauthorized() }
        let references = about.children.filter { $0.is(signature, "Reference") }
        guard references.count == 1, references[0].attribute("URI") == "#" + id,
            let transforms = references[0].child(signature, "Transforms"), transforms.children.count <= 2,
            transforms.children.contains(where: {
                $0.attribute("Algorithm") == "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
            })
        else { throw .unauthorized() }
        for certificate in certificates {
            let bytes = Array(certificate.utf8)
            if cxmlsec_verify(signatures[0].raw, bytes, UInt32(bytes.count), acceptsSHA1 ? 1 : 0) == 1 { return }
        }
        throw .unauthorized()
    }
}
