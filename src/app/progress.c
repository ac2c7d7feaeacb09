/* The progress bar. See progress.h. */
#include "app/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/utf8.h"

#define BAR_INTERVAL_NS  100000000LL
#define LINE_INTERVAL_NS 10000000000LL
#define MAX_BAR          40
#define MIN_BAR          10
#define PLAIN_LABEL      1000 /* characters of the label where there is no bar */

enum app_progress_mode app_progress_choose(bool quiet)
{
    if (quiet)
        return APP_PROGRESS_OFF;
    const char *terminal = getenv("TERM");
    bool moves = terminal && !au_str_equal(terminal, "dumb");
    return moves && isatty(STDERR_FILENO) ? APP_PROGRESS_BAR : APP_PROGRESS_LINES;
}

void app_progress_time(struct au_buf *out, double seconds)
{
    int64_t s = seconds > 0 && seconds < 1e12 ? (int64_t)seconds : 0;
    if (s >= 3600)
        au_buf_printf(out, "%lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
                      (long long)(s % 60));
    else
        au_buf_printf(out, "%lld:%02lld", (long long)(s / 60), (long long)(s % 60));
}

/* Figures that stand behind the bar. */
static void put_figures(struct au_buf *out, double done, double total, double elapsed)
{
    if (total > 0)
        au_buf_printf(out, "%3.0f %%  ", 100.0 * (done < total ? done : total) / total);
    app_progress_time(out, done);
    if (total > 0) {
        au_buf_puts(out, " of ");
        app_progress_time(out, total);
    }
    if (elapsed <= 0 || done <= 0)
        return;
    au_buf_printf(out, "  %.1fx", done / elapsed);
    if (total > 0) {
        au_buf_puts(out, "  ");
        app_progress_time(out, total > done ? (total - done) * elapsed / done + 0.5 : 0);
        au_buf_puts(out, " left");
    }
}

static void put_byte_figures(struct au_buf *out, double before, double done, double total,
                             double elapsed)
{
    if (total > 0)
        au_buf_printf(out, "%3.0f %%  %.1f of %.1f MB",
                      100.0 * (done < total ? done : total) / total, done / 1e6, total / 1e6);
    else
        au_buf_printf(out, "%.1f MB", done / 1e6);
    if (elapsed <= 0 || done <= before)
        return;
    au_buf_printf(out, "  %.1f MB/s", (done - before) / 1e6 / elapsed);
    if (total > 0) {
        au_buf_puts(out, "  ");
        app_progress_time(out, total > done ? (total - done) * elapsed / (done - before) + 0.5 : 0);
        au_buf_puts(out, " left");
    }
}

/* At most `room` characters of the label, its end cut off where it is longer. */
static int put_label(struct au_buf *out, const char *label, int room)
{
    int used = 0;
    for (size_t i = 0, n = strlen(label); i < n && used < room; used++) {
        uint32_t c;
        size_t step = au_utf8_decode(label + i, n - i, &c);
        bool printable = c >= 0x20 && c != 0x7f && (c < 0x80 || c >= 0xa0);
        au_buf_append(out, printable ? label + i : "?", printable ? step : 1);
        i += step;
    }
    return used;
}

static void put_bar(struct au_buf *out, double share, int width)
{
    int full = (int)(share * width + 0.5);
    au_buf_puts(out, " [");
    for (int i = 0; i < width; i++)
        au_buf_putc(out, i < full ? '=' : i == full ? '>' : ' ');
    au_buf_puts(out, "] ");
}

/* Label, bar and figures in so many columns. */
static void put_line(struct au_buf *out, const char *label, double done, double total,
                     const struct au_buf *figures, int columns)
{
    bool plain = columns <= 0;
    int room = plain ? PLAIN_LABEL : columns - (int)figures->len;
    int bar = total > 0 && !plain ? room / 3 : 0;
    bar = bar > MAX_BAR ? MAX_BAR : bar < MIN_BAR ? 0 : bar;
    room -= bar ? bar + 4 : 2;
    if (room > 0)
        put_label(out, label, room);
    if (bar)
        put_bar(out, done < total ? done / total : 1.0, bar);
    else if (room > 0)
        au_buf_puts(out, "  ");
    if (plain || (int)figures->len <= columns)
        au_buf_puts(out, figures->data);
}

void app_progress_line(struct au_buf *out, const char *label, double done, double total,
                       double elapsed, int columns)
{
    struct au_buf figures;
    au_buf_init(&figures, 256);
    put_figures(&figures, done, total, elapsed);
    put_line(out, label, done, total, &figures, columns);
    au_buf_deinit(&figures);
}

void app_progress_bytes_line(struct au_buf *out, const char *label, double before, double done,
                             double total, double elapsed, int columns)
{
    struct au_buf figures;
    au_buf_init(&figures, 256);
    put_byte_figures(&figures, before, done, total, elapsed);
    put_line(out, label, done, total, &figures, columns);
    au_buf_deinit(&figures);
}

/* ---- On the terminal ------------------------------------------------------------------------ */

static int stderr_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return 79;
    return size.ws_col - 1; /* the last column would wrap on some terminals */
}

static void put_stderr(const struct au_buf *text)
{
    if (write(STDERR_FILENO, text->data, text->len) < 0)
        return; /* progress that nobody can see is not missed */
}

void app_progress_start(struct app_progress *progress, enum app_progress_mode mode,
                        const char *label)
{
    int64_t now = au_now_ns();
    *progress = (struct app_progress){.mode = mode, .label = label, .start_ns = now, .before = -1};
    progress->last_ns = mode == APP_PROGRESS_LINES ? now : now - BAR_INTERVAL_NS;
}

void app_progress_update(struct app_progress *progress, double done, double total)
{
    if (progress->mode == APP_PROGRESS_OFF)
        return;
    if (progress->before < 0)
        progress->before = done;
    bool bar = progress->mode == APP_PROGRESS_BAR;
    int64_t now = au_now_ns();
    if (now - progress->last_ns < (bar ? BAR_INTERVAL_NS : LINE_INTERVAL_NS))
        return;
    progress->last_ns = now;
    struct au_buf text;
    au_buf_init(&text, 4096);
    if (bar)
        au_buf_puts(&text, "\r\x1b[K");
    double elapsed = (double)(now - progress->start_ns) * 1e-9;
    if (progress->bytes)
        app_progress_bytes_line(&text, progress->label, progress->before, done, total, elapsed,
                                bar ? stderr_columns() : 0);
    else
        app_progress_line(&text, progress->label, done, total, elapsed, bar ? stderr_columns() : 0);
    if (!bar)
        au_buf_putc(&text, '\n');
    put_stderr(&text);
    progress->drawn = bar;
    au_buf_deinit(&text);
}

void app_progress_clear(struct app_progress *progress)
{
    if (!progress->drawn)
        return;
    struct au_buf text;
    au_buf_init(&text, 16);
    au_buf_puts(&text, "\r\x1b[K");
    put_stderr(&text);
    au_buf_deinit(&text);
    progress->drawn = false;
    progress->last_ns = 0; /* redraw at the next chance */
}
