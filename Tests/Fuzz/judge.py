# SPDX-License-Identifier: Apache-2.0
"""What every answer must be, whatever was asked."""
import json
import re

# What a reader may change: their own things, and what only looks like a change.
READER_MAY = re.compile(
    r"^(POST /v3/auth/tokens|DELETE /v3/auth/tokens|.* /v3/users/\{user_id\}/(application_credentials|access_rules|"
    r"credentials|password).*|.* /v3/(credentials|OS-TRUST).*|.*os-keypairs.*|POST /v2.0/ports)")

# Complaints that say what is wrong although no member stands in them: about the path, the whole, or in upstream's words.
WELL_SAID = re.compile(
    r"''|\\\\u0000|There is no such action|Only the quota class|Boot sequence|No such trait|No such resource class|"
    r"is a required property|Pointer `|[Rr]equired attribute|Invalid JSON pointer|Invalid uuid|id must be an integer|"
    r"Invalid value for port|Invalid CIDR|Could not find|'name' field|Custom property|body and URI|Only admins|in request body|"
    r"at 'body'|does not match schema|service is not supported|Bad router request|Invalid application credential|"
    r"Resources required|could not be found|Service Profile needs|No inventory|More than one possible network|AllowedAddressPair|"
    r"Command not supported|is still in use\.|un-parenting a provider|PVLAN is not enabled|Mandatory field missing|"
    r"Provider .* is not enabled|Allowed CIDRs are not allowed|"
    r"qos_policy \w+ not found|Missing details for Pool object")
# Whose owner alone and those it is shared with may see it. Others are shown to the owners of what they hang on, too.
PRIVATE = re.compile(
    r"GET /v2(.0|.1)/(networks|routers|floatingips|security-groups|subnetpools|address-scopes|servers)/\{\w+\}$")


def fault_shape(service, document, status):
    """Whether a document is the service's fault."""
    if not isinstance(document, dict):
        return False
    if service == "image":
        return isinstance(document.get("message"), str)
    if service == "placement":
        errors = document.get("errors")
        return isinstance(errors, list) and errors and errors[0].get("status") == status and "detail" in errors[0]
    if service == "network" and "NeutronError" in document:
        return isinstance(document["NeutronError"].get("message"), str)
    if service == "balancing" and "faultcode" in document:
        return document["faultcode"] in ("Client", "Server") and isinstance(document.get("faultstring"), str)
    if service == "compute":
        return len(document) == 1 and next(iter(document.values())).get("code") == status
    if service == "identity" and "error_description" in document:
        return isinstance(document.get("error"), str)  # OAuth 2.0's own form, RFC 6749 section 5.2
    return isinstance(document.get("error"), dict) and document["error"].get("code") == status


def judge(asked, answer):
    """What is wrong with an answer: (kind, sentence) or None. The second value is the document."""
    route, status = asked.route, answer.status
    wanted = [value for name, value in asked.headers if name == "Accept"]
    if route.service == "placement" and 400 <= status < 500 and wanted and "json" not in wanted[-1]:
        return None, None  # upstream tells browsers in HTML
    # 501 is a service's own word for what its back end cannot do.
    if status >= 500 and status != 501 and not (status == 503 and answer.header("retry-after")):
        return (str(status), answer.body[:300].decode("utf-8", "replace")), None
    document = None
    if answer.body:
        kind = answer.header("content-type") or ""
        if "json" in kind or status >= 400:
            try:
                document = json.loads(answer.body.decode("utf-8"))
            except ValueError:
                if asked.clean or status not in (400, 404, 405, 411, 413, 414, 431):
                    return ("no JSON", f"{status} {kind}: {answer.body[:200]!r}"), None
                return None, None
        elif asked.clean and kind == "":
            return ("no content type", f"{status}: {answer.body[:100]!r}"), None
    if status >= 400 and asked.method != "HEAD":
        return refusal(asked, answer, document), document
    return acceptance(asked, answer, document), document


def refusal(asked, answer, document):
    status, service = answer.status, asked.route.service
    if document is None:
        return ("no envelope", f"{status} with an empty body")
    if not fault_shape(service, document, status):
        return ("no envelope", f"{status}: {json.dumps(document)[:300]}")
    if status == 405 and answer.header("allow") is None:
        return ("no Allow", json.dumps(document)[:200])
    text = json.dumps(document, ensure_ascii=False)
    if status == 400 and asked.clean and asked.names and not names_a_member(asked, text):
        return ("names no member", f"{asked.mutation} of {'.'.join(asked.names)[:80]}: {text[:300]}")
    if status == 400 and len(answer.body) > 30_000:
        return ("too much said", f"{len(answer.body)} bytes")
    return None


def names_a_member(asked, text):
    """Whether the complaint mentions the member that was changed, or another of the body."""
    try:
        members = set(re.findall(r'"([A-Za-z_][\w:.-]*)"\s*:', asked.body.decode("utf-8")))
    except UnicodeDecodeError:
        return True
    lower = text.lower()
    return any(name.lower() in lower for name in [*asked.names, *members] if name) or WELL_SAID.search(text)


def acceptance(asked, answer, document):
    route, persona, status = asked.route, asked.persona, answer.status
    if answer.header("x-openstack-request-id") is None and asked.method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        return ("no request id", f"{status}")
    if status >= 300 or route.method != asked.method:
        return None
    if not route.open and not asked.token_good:
        return ("open to strangers", f"{status} to a bad or missing token: {answer.body[:150]!r}")
    changes = asked.method not in ("GET", "HEAD") and not route.open
    if persona.name == "reader" and changes and not READER_MAY.match(route.key):
        return ("changed by a reader", f"{status}: {answer.body[:150]!r}")
    if persona.name in ("member", "reader", "other") and asked.method == "GET" and isinstance(document, dict):
        return foreign(asked, document)
    return None


def foreign(asked, document):
    """Another project's private thing, shown to someone who has no part in it."""
    if not PRIVATE.match(asked.route.key) or len(document) != 1:
        return None
    thing = next(iter(document.values()))
    if not isinstance(thing, dict):
        return None
    owner = thing.get("project_id") or thing.get("tenant_id")
    free = thing.get("shared") or thing.get("router:external") or thing.get("is_default")
    if not owner or owner == asked.persona.project_id or free:
        return None
    return ("shown to another project", f"{asked.persona.name} sees what {owner} owns: {json.dumps(thing)[:200]}")
