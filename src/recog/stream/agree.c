/* Stable prefixes. See agree.h. */
#include "recog/stream/agree.h"

#include <string.h>

#include "base/utf8.h"

void recog_agree_init(struct recog_agree *agree)
{
    *agree = (struct recog_agree){0};
    au_buf_init(&agree->shown, 0);
    au_buf_init(&agree->next, 0);
}

void recog_agree_deinit(struct recog_agree *agree)
{
    au_buf_deinit(&agree->shown);
    au_buf_deinit(&agree->next);
}

void recog_agree_reset(struct recog_agree *agree)
{
    au_buf_clear(&agree->shown);
    agree->n_stable = agree->n_words = 0;
}

/* Bytes of the first word with the spaces before it; 0 when there is none. */
static size_t word(const char *text, size_t n, bool spaces)
{
    size_t at = 0;
    while (at < n && text[at] == ' ')
        at++;
    if (at == n)
        return 0;
    if (!spaces) {
        uint32_t ignored;
        return at + au_utf8_decode(text + at, n - at, &ignored);
    }
    while (at < n && text[at] != ' ')
        at++;
    return at;
}

/* More words on which the last text and this one agree. */
static void extend(struct recog_agree *agree, const char *rest, size_t n_rest, bool spaces)
{
    const char *before = agree->shown.data + agree->n_stable;
    size_t n_before = agree->shown.len - agree->n_stable, agreed = 0;
    for (;;) {
        size_t a = word(before + agreed, n_before - agreed, spaces),
               b = word(rest + agreed, n_rest - agreed, spaces);
        if (!a || a != b || memcmp(before + agreed, rest + agreed, a) != 0)
            break;
        agreed += a;
        agree->n_words++;
    }
    agree->n_stable += agreed;
}

enum auricle_error recog_agree_hear(struct recog_agree *agree, const char *text, size_t n,
                                    bool spaces)
{
    size_t skip = 0;
    for (size_t i = 0, bytes; i < agree->n_words; i++, skip += bytes) {
        bytes = word(text + skip, n - skip, spaces);
        if (!bytes)
            break;
    }
    au_buf_clear(&agree->next);
    enum auricle_error error = au_buf_append(&agree->next, agree->shown.data, agree->n_stable);
    if (!error)
        error = au_buf_append(&agree->next, text + skip, n - skip);
    if (error)
        return error;
    extend(agree, text + skip, n - skip, spaces);
    struct au_buf shown = agree->next;
    agree->next = agree->shown;
    agree->shown = shown;
    return AURICLE_OK;
}
