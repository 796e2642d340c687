/* The page: files of web/arena/, embedded in the program. */
#include "arena/site_state.h"
#include "arena/web_files.h"

static void reply(bv_http_exchange *x, const char *type, const char *bytes, size_t size) {
    static const char headers[] =
        "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"
        "Referrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n"
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'\r\n";
    bv_http_reply(
        x, &(bv_http_answer){
               .status = 200, .type = type, .body = bytes, .size = size, .headers = headers});
}

void bv_site_get_page(void *context, bv_http_exchange *x) {
    (void)context;
    reply(x, "text/html; charset=utf-8", bv_web_arena_html, bv_web_arena_html_size);
}

void bv_site_get_script(void *context, bv_http_exchange *x) {
    (void)context;
    reply(x, "text/javascript; charset=utf-8", bv_web_arena_js, bv_web_arena_js_size);
}

void bv_site_get_style(void *context, bv_http_exchange *x) {
    (void)context;
    reply(x, "text/css; charset=utf-8", bv_web_arena_css, bv_web_arena_css_size);
}
