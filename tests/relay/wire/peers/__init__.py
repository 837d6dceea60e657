"""HTTP/2 servers that others have written, as processes with TLS: Node's http2 and nghttpd."""
