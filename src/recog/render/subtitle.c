/* Subtitles: srt, vtt, lrc. See render.h.
 *
 * With word times a cue spans its words, as in the original; otherwise it spans its segment.    */
#include "recog/render/render.h"

/* "[HH:]MM:SS" and the marker and milliseconds after it. */
static void put_clock(struct au_buf *out, double seconds, bool always_hours, char marker)
{
    int64_t ms = recog_render_ms(seconds);
    int64_t hours = ms / 3600000, minutes = ms / 60000 % 60, whole = ms / 1000 % 60;
    if (always_hours || hours > 0)
        au_buf_printf(out, "%02lld:", (long long)hours);
    au_buf_printf(out, "%02lld:%02lld%c%03lld", (long long)minutes, (long long)whole, marker,
                  (long long)(ms % 1000));
}

static double cue_start(const struct auricle_segment *segment)
{
    return segment->n_words ? segment->words[0].start : segment->start;
}

static double cue_end(const struct auricle_segment *segment)
{
    return segment->n_words ? segment->words[segment->n_words - 1].end : segment->end;
}

/* Two or more dashes and a ">" begin here. */
static bool starts_arrow(struct recog_render_span span, size_t i)
{
    size_t end = i;
    while (end < span.n && span.at[end] == '-')
        end++;
    return end - i >= 2 && end < span.n && span.at[end] == '>';
}

/* The text of a cue: "-->" would be read as a time line and a blank line would end the cue, so the
 * first becomes "->" and the second goes.                                                        */
static void put_cue_text(struct au_buf *out, const char *text)
{
    struct recog_render_span span = recog_render_strip(text);
    bool line_start = false;
    for (size_t i = 0; i < span.n; i++) {
        char c = span.at[i];
        bool line_end = c == '\n' || c == '\r';
        if ((line_end && line_start) || starts_arrow(span, i))
            continue;
        au_buf_putc(out, line_end ? '\n' : c);
        line_start = line_end;
    }
}

static void put_cue(struct au_buf *out, const struct auricle_segment *segment, bool always_hours,
                    char marker)
{
    put_clock(out, cue_start(segment), always_hours, marker);
    au_buf_puts(out, " --> ");
    put_clock(out, cue_end(segment), always_hours, marker);
    au_buf_putc(out, '\n');
    put_cue_text(out, segment->text);
    au_buf_puts(out, "\n\n");
}

void recog_render_srt_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index)
{
    au_buf_printf(out, "%zu\n", index + 1);
    put_cue(out, segment, true, ',');
}

void recog_render_vtt_begin(struct au_buf *out)
{
    au_buf_puts(out, "WEBVTT\n\n");
}

void recog_render_vtt_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index)
{
    (void)index;
    put_cue(out, segment, false, '.');
}

/* Lyrics have minutes without bound, hundredths, and one line per entry. */
void recog_render_lrc_begin(struct au_buf *out)
{
    au_buf_puts(out, "[by:auricle]\n");
}

void recog_render_lrc_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index)
{
    (void)index;
    int64_t hundredths = recog_render_ms(cue_start(segment)) / 10;
    au_buf_printf(out, "[%02lld:%02lld.%02lld]", (long long)(hundredths / 6000),
                  (long long)(hundredths / 100 % 60), (long long)(hundredths % 100));
    struct recog_render_span span = recog_render_strip(segment->text);
    for (size_t i = 0; i < span.n; i++)
        au_buf_putc(out, span.at[i] == '\n' || span.at[i] == '\r' ? ' ' : span.at[i]);
    au_buf_putc(out, '\n');
}
