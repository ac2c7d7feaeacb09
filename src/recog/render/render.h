/* Results as text: txt, srt, vtt, tsv, lrc, json.
 *
 * The first five are written segment by segment (`begin`, then `segment` for each), so a front end
 * can show them while the transcript is made; the pieces joined are byte for byte what
 * recog_render_result gives. json needs the whole result. The layouts of txt, srt, vtt, tsv and
 * json are those of openai/whisper's writers (whisper/utils.py), with two repairs where those would
 * break the file: a blank line inside a cue and a line break inside a tsv or lrc field are taken
 * out.
 * Functions append to the caller's buffer, whose `error` collects failures. No state; any
 * thread. */
#ifndef RECOG_RENDER_RENDER_H
#define RECOG_RENDER_RENDER_H

#include <stddef.h>

#include "auricle/auricle.h"
#include "base/buf.h"

struct recog_render {
    const char *name; /* also the extension of its files */
    const char *media_type;
    void (*begin)(struct au_buf *out); /* NULL: nothing comes first */
    /* index counts kept segments from 0; NULL for formats that need the whole result */
    void (*segment)(struct au_buf *out, const struct auricle_segment *segment, size_t index);
    void (*whole)(struct au_buf *out, const struct auricle_result *result); /* NULL: by segment */
};

const struct recog_render *recog_render_find(const char *name); /* NULL when unknown */
const struct recog_render *recog_render_at(size_t i);           /* NULL past the last */

/* Append the whole result. Errors: NOMEM, LIMIT (also left in out->error). */
AURICLE_MUST_CHECK enum auricle_error recog_render_result(const struct recog_render *render,
                                                          const struct auricle_result *result,
                                                          struct au_buf *out);

/* Writers of the formats, in files of their own. */
void recog_render_txt_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index);
void recog_render_tsv_begin(struct au_buf *out);
void recog_render_tsv_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index);
void recog_render_srt_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index);
void recog_render_vtt_begin(struct au_buf *out);
void recog_render_vtt_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index);
void recog_render_lrc_begin(struct au_buf *out);
void recog_render_lrc_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index);
void recog_render_json(struct au_buf *out, const struct auricle_result *result);
/* The same with a member "file": among several results it tells whose this one is. NULL: none. */
void recog_render_json_of(struct au_buf *out, const char *file,
                          const struct auricle_result *result);

/* Text without white space at its ends (Unicode's, as Python's str.strip). Borrowed from text. */
struct recog_render_span {
    const char *at;
    size_t n;
};
struct recog_render_span recog_render_strip(const char *text);
/* Milliseconds, ties to even as Python's round; NaN and negative times count as 0. */
int64_t recog_render_ms(double seconds);

#endif
