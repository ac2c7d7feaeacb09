/* Plain text and tab-separated values. See render.h. */
#include "recog/render/render.h"

void recog_render_txt_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index)
{
    (void)index;
    struct recog_render_span span = recog_render_strip(segment->text);
    au_buf_append(out, span.at, span.n);
    au_buf_putc(out, '\n');
}

void recog_render_tsv_begin(struct au_buf *out)
{
    au_buf_puts(out, "start\tend\ttext\n");
}

/* Integer milliseconds: programs that read them meet no decimal mark of some locale. */
void recog_render_tsv_segment(struct au_buf *out, const struct auricle_segment *segment,
                              size_t index)
{
    (void)index;
    au_buf_printf(out, "%lld\t%lld\t", (long long)recog_render_ms(segment->start),
                  (long long)recog_render_ms(segment->end));
    struct recog_render_span span = recog_render_strip(segment->text);
    for (size_t i = 0; i < span.n; i++) {
        char c = span.at[i];
        au_buf_putc(out, c == '\t' || c == '\n' || c == '\r' ? ' ' : c);
    }
    au_buf_putc(out, '\n');
}
