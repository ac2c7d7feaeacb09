/* The table of formats, and what the writers share. See render.h; auricle_render of the public API
 * is here too. */
#include "recog/render/render.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

static const struct recog_render formats[] = {
    {"txt", "text/plain; charset=utf-8", NULL, recog_render_txt_segment, NULL},
    {"srt", "application/x-subrip; charset=utf-8", NULL, recog_render_srt_segment, NULL},
    {"vtt", "text/vtt; charset=utf-8", recog_render_vtt_begin, recog_render_vtt_segment, NULL},
    {"tsv", "text/tab-separated-values; charset=utf-8", recog_render_tsv_begin,
     recog_render_tsv_segment, NULL},
    {"json", "application/json", NULL, NULL, recog_render_json},
    {"lrc", "text/x-lrc; charset=utf-8", recog_render_lrc_begin, recog_render_lrc_segment, NULL},
};
#define N_FORMATS (sizeof formats / sizeof formats[0])

const struct recog_render *recog_render_at(size_t i)
{
    return i < N_FORMATS ? &formats[i] : NULL;
}

const struct recog_render *recog_render_find(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (au_str_equal(formats[i].name, name))
            return &formats[i];
    return NULL;
}

enum auricle_error recog_render_result(const struct recog_render *render,
                                       const struct auricle_result *result, struct au_buf *out)
{
    if (render->whole) {
        render->whole(out, result);
        return out->error;
    }
    if (render->begin)
        render->begin(out);
    for (size_t i = 0; i < result->n_segments; i++)
        render->segment(out, &result->segments[i], i);
    return out->error;
}

/* White_Space of Unicode and the four separators that Python's str.strip takes for space too. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

struct recog_render_span recog_render_strip(const char *text)
{
    struct recog_render_span span = {text ? text : "", 0};
    bool started = false;
    for (size_t i = 0, n = text ? strlen(text) : 0; i < n;) {
        uint32_t c;
        size_t step = au_utf8_decode(text + i, n - i, &c);
        if (!is_space(c)) {
            if (!started)
                span.at = text + i;
            started = true;
            span.n = (size_t)(text + i + step - span.at);
        }
        i += step;
    }
    return span;
}

int64_t recog_render_ms(double seconds)
{
    const double longest_ms = 1e15; /* 30,000 years; keeps the conversion defined */
    if (!(seconds > 0.0))
        return 0;
    double ms = rint(seconds * 1000.0);
    return (int64_t)(ms < longest_ms ? ms : longest_ms);
}

/* ---- Public --------------------------------------------------------------------------------- */

static enum auricle_error unknown_format(const char *format, struct auricle_message *message)
{
    if (message)
        snprintf(message->text, sizeof message->text,
                 "unknown output format \"%.60s\": known are txt, srt, vtt, tsv, json and lrc",
                 format ? format : "");
    return AURICLE_E_INVALID;
}

enum auricle_error auricle_render(const struct auricle_result *result, const char *format,
                                  char **out, size_t *n_out, struct auricle_message *message)
{
    const struct recog_render *render = recog_render_find(format);
    if (!render)
        return unknown_format(format, message);
    struct au_buf text;
    au_buf_init(&text, 0);
    enum auricle_error error = recog_render_result(render, result, &text);
    size_t n = text.len;
    char *block = error ? NULL : au_buf_take(&text);
    au_buf_deinit(&text);
    if (!block) {
        if (message)
            snprintf(message->text, sizeof message->text,
                     "out of memory while writing the result as %s", format);
        return error ? error : AURICLE_E_NOMEM;
    }
    *out = block;
    if (n_out)
        *n_out = n;
    return AURICLE_OK;
}

void auricle_string_free(char *text)
{
    au_free(text);
}
