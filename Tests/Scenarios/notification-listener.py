#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A notification listener of oslo.messaging: a line of JSON for each message it gets, until it is stopped.

notification-listener.py TRANSPORT_URL EXCHANGE TOPIC
"""
import json
import sys

from oslo_config import cfg
import oslo_messaging


class Endpoint:
    def info(self, context, publisher, event, payload, metadata):
        print(json.dumps({"event": event, "publisher": publisher, "payload": payload, "context": context,
                          "metadata": metadata}), flush=True)

    error = info


url, exchange, topic = sys.argv[1:]
conf = cfg.ConfigOpts()
conf([])
listener = oslo_messaging.get_notification_listener(
    oslo_messaging.get_notification_transport(conf, url=url), [oslo_messaging.Target(exchange=exchange, topic=topic)],
    [Endpoint()], executor="threading")
listener.start()
print(json.dumps({"event": "listening"}), flush=True)
listener.wait()
