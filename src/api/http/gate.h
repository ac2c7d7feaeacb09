/* A look at the first header of a connection, before it is handed on.
 *
 * libmicrohttpd answers what it finds wrong in a header with pages of its own, and gives memory to
 * whoever connects. So a connection waits here until its first header is complete, which is looked
 * at without being taken from the socket; what is wrong is refused in the API's shape.           */
#ifndef HTTP_GATE_H
#define HTTP_GATE_H

#include <stddef.h>

enum http_gate {
    HTTP_GATE_WAIT, /* for more */
    HTTP_GATE_PASS, /* complete and well-formed */
    HTTP_GATE_REFUSE
};

/* What has come so far, from the connection's first byte; max_bytes: of a whole header. With REFUSE
 * *status and *sentence (static) say why. Pure; linear in n.                                     */
enum http_gate http_gate_look(const char *header, size_t n, size_t max_bytes, int *status,
                              const char **sentence);

#endif
