#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A block storage service that has nothing and makes nothing, for suites that only ask whether there is one.

block-storage.py FILE writes its address to FILE and serves until it is stopped.
"""
import http.server
import json
import pathlib
import sys


class Nothing(http.server.BaseHTTPRequestHandler):
    """Its versions, empty lists, and 404 or 501 for all else."""

    def do_GET(self):
        path = self.path.split('?')[0].rstrip('/')
        if path in ('', '/v3'):
            version = {
                'id': 'v3.0', 'status': 'CURRENT', 'version': '3.71', 'min_version': '3.0',
                'links': [{'rel': 'self', 'href': f'{self.server.address}/v3/'}]}
            self.answer(200, {'versions': [version]})
        elif path.endswith(('/volumes', '/volumes/detail')):
            self.answer(200, {'volumes': []})
        else:
            self.answer(404, {'itemNotFound': {'code': 404, 'message': 'The resource could not be found.'}})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass


def main():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Nothing)
    server.address = f'http://127.0.0.1:{server.server_port}'
    pathlib.Path(sys.argv[1]).write_text(server.address + '/v3')
    server.serve_forever()


if __name__ == '__main__':
    main()
