"""py-amqp's transport over TLS, with a context of ours."""

from __future__ import annotations

from typing import Any

import amqp.transport

from callworker import tls


class SecuredTransport(amqp.transport.SSLTransport):
    """Verifies the certificate's chain and name as the address says.

    py-amqp's own context cannot name the server without verifying the name, or the other way round.
    """

    def _wrap_socket(self, sock: Any, server_hostname: str, **options: Any) -> Any:
        try:
            context = tls.context(options)
        except ValueError as error:
            # The file existed at the start, so only a connection finds out that it is gone.
            raise OSError(str(error)) from error
        return context.wrap_socket(sock, server_hostname=server_hostname, do_handshake_on_connect=False)
