/* The page. See web.h. Its files are few, so each has a route and a handler of its own. */
#include "api/web/web.h"

/* Nothing is fetched from elsewhere, nothing runs that is not a file of ours. */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                             "img-src 'self'; connect-src 'self'; media-src 'self' blob:; "
                             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
static const struct http_header headers[] = {
    {"Content-Security-Policy", policy}, {"Cache-Control", "no-cache"}, {NULL, NULL}};

#define PAGE_FILE(name, type)                                                             \
    extern const unsigned char web_##name[];                                              \
    extern const size_t web_##name##_bytes;                                               \
    static void get_##name(struct http_request *request)                                  \
    {                                                                                     \
        http_respond_static(request, 200, type, web_##name, web_##name##_bytes, headers); \
    }                                                                                     \
    static const struct http_handler name = {.end = get_##name}

PAGE_FILE(index_html, "text/html; charset=utf-8");
PAGE_FILE(style_css, "text/css; charset=utf-8");
PAGE_FILE(icon_svg, "image/svg+xml");
PAGE_FILE(app_js, "text/javascript; charset=utf-8");
PAGE_FILE(server_js, "text/javascript; charset=utf-8");
PAGE_FILE(live_js, "text/javascript; charset=utf-8");
PAGE_FILE(transcript_js, "text/javascript; charset=utf-8");
PAGE_FILE(export_js, "text/javascript; charset=utf-8");

#define PAGE_ROUTE(at, name)                                            \
    {                                                                   \
        .method = "GET", .path = (at), .handler = &(name), .open = true \
    }

const struct http_route api_web_routes[] = {
    PAGE_ROUTE("/", index_html),
    PAGE_ROUTE("/style.css", style_css),
    PAGE_ROUTE("/icon.svg", icon_svg),
    PAGE_ROUTE("/app.js", app_js),
    PAGE_ROUTE("/server.js", server_js),
    PAGE_ROUTE("/live.js", live_js),
    PAGE_ROUTE("/transcript.js", transcript_js),
    PAGE_ROUTE("/export.js", export_js),
    {.path = NULL},
};
