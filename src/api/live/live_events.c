/* What is said to a live client. See live_events.h. */
#include <string.h>

#include "api/live/live_events.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/unicode.h"

#define TIME_DECIMALS 3

static void put_time(struct au_json_writer *w, const char *key, double seconds)
{
    au_json_add_fixed(w, key, seconds, TIME_DECIMALS);
}

/* [this, of how many]: what is heard is one channel. */
static void put_channel(struct au_json_writer *w, const char *key)
{
    au_json_key(w, key);
    au_json_open_array(w);
    au_json_put_int(w, 0);
    au_json_put_int(w, 1);
    au_json_close_array(w);
}

static void open_event(struct au_json_writer *w, struct au_buf *out, const char *type)
{
    au_json_writer_init(w, out, 0);
    au_json_open_object(w);
    au_json_add_string(w, "type", type);
}

static const char *without_blanks(const char *text)
{
    return text + strspn(text, " ");
}

/* ---- Words ----------------------------------------------------------------------------------- */

static bool is_edge(uint32_t code_point)
{
    enum text_class kind = text_char_class(code_point);
    return kind == TEXT_CLASS_PUNCTUATION || kind == TEXT_CLASS_SPACE;
}

/* A word in lower case, without the punctuation around it. */
static void put_bare(struct au_json_writer *w, const char *text)
{
    size_t n = strlen(text), first = n, end = 0;
    struct au_buf lower;
    for (size_t i = 0; i < n;) {
        uint32_t code_point;
        size_t step = au_utf8_decode(text + i, n - i, &code_point);
        if (!is_edge(code_point)) {
            first = first == n ? i : first;
            end = i + step;
        }
        i += step;
    }
    au_buf_init(&lower, 0);
    if (first < end && !text_lower(text + first, end - first, &lower))
        au_json_put_string_n(w, lower.data, lower.len);
    else
        au_json_put_string(w, without_blanks(text)); /* nothing but punctuation */
    au_buf_deinit(&lower);
}

static void put_words(struct au_json_writer *w, const struct auricle_segment *segment)
{
    au_json_key(w, "words");
    au_json_open_array(w);
    for (size_t i = 0; segment && i < segment->n_words; i++) {
        const struct auricle_word *word = &segment->words[i];
        au_json_open_object(w);
        au_json_key(w, "word");
        put_bare(w, word->text);
        put_time(w, "start", word->start);
        put_time(w, "end", word->end);
        au_json_add_fixed(w, "confidence", (double)word->probability, TIME_DECIMALS);
        au_json_add_string(w, "punctuated_word", without_blanks(word->text));
        au_json_close_object(w);
    }
    au_json_close_array(w);
}

/* ---- Results --------------------------------------------------------------------------------- */

static size_t count_characters(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; count++) {
        uint32_t code_point;
        i += au_utf8_decode(text + i, n - i, &code_point);
    }
    return count;
}

static void put_alternative(struct au_json_writer *w, const struct auricle_stream_event *event)
{
    bool final = event->kind == AURICLE_STREAM_FINAL;
    const char *whole = final && event->segment ? event->segment->text : event->text;
    const char *text = without_blanks(whole ? whole : "");
    size_t skipped = whole ? (size_t)(text - whole) : 0;
    size_t stable = event->n_stable > skipped ? event->n_stable - skipped : 0;
    au_json_open_object(w);
    au_json_add_string(w, "transcript", text);
    au_json_add_fixed(w, "confidence", (double)event->confidence, TIME_DECIMALS);
    if (event->kind == AURICLE_STREAM_PARTIAL) {
        au_json_key(w, "stable_length"); /* characters that two passes agreed on */
        au_json_put_int(w, (int64_t)count_characters(text, stable));
    }
    au_json_key(w, "languages");
    au_json_open_array(w);
    if (event->language)
        au_json_put_string(w, event->language);
    au_json_close_array(w);
    put_words(w, event->segment);
    au_json_close_object(w);
}

static void write_results(struct au_buf *out, const struct auricle_stream_event *event,
                          const struct live_voice *voice)
{
    struct au_json_writer w;
    open_event(&w, out, "Results");
    put_channel(&w, "channel_index");
    put_time(&w, "duration", event->end - event->start);
    put_time(&w, "start", event->start);
    au_json_add_bool(&w, "is_final", event->kind != AURICLE_STREAM_PARTIAL);
    au_json_add_bool(&w, "speech_final",
                     event->kind == AURICLE_STREAM_FINAL && event->end_of_speech);
    au_json_add_bool(&w, "from_finalize", voice->from_finalize);
    if (voice->n_final)
        au_json_add_int(&w, "sequence", voice->n_final);
    au_json_key(&w, "channel");
    au_json_open_object(&w);
    au_json_key(&w, "alternatives");
    au_json_open_array(&w);
    put_alternative(&w, event);
    au_json_close_array(&w);
    au_json_close_object(&w);
    au_json_key(&w, "metadata");
    au_json_open_object(&w);
    au_json_add_string(&w, "request_id", voice->request_id);
    if (voice->model)
        au_json_add_string(&w, "model", voice->model);
    au_json_close_object(&w);
    au_json_close_object(&w);
}

void live_write_event(struct au_buf *out, const struct auricle_stream_event *event,
                      const struct live_voice *voice)
{
    struct au_json_writer w;
    switch (event->kind) {
    case AURICLE_STREAM_PARTIAL:
    case AURICLE_STREAM_FINAL:
    case AURICLE_STREAM_FLUSHED: write_results(out, event, voice); break;
    case AURICLE_STREAM_SPEECH_STARTED:
        if (!voice->vad_events)
            break;
        open_event(&w, out, "SpeechStarted");
        put_channel(&w, "channel");
        put_time(&w, "timestamp", event->start);
        au_json_close_object(&w);
        break;
    case AURICLE_STREAM_SPEECH_ENDED:
        if (!voice->vad_events)
            break;
        open_event(&w, out, "UtteranceEnd");
        put_channel(&w, "channel");
        put_time(&w, "last_word_end",
                 voice->last_word_end >= 0 ? voice->last_word_end : event->end);
        au_json_close_object(&w);
        break;
    }
}

/* ---- The others ------------------------------------------------------------------------------ */

static void put_now(struct au_json_writer *w)
{
    char time[AU_TIME_TEXT_BYTES];
    au_time_text(au_wall_ms(), time);
    au_json_add_string(w, "created", time);
}

void live_write_open(struct au_buf *out, const struct live_opened *opened)
{
    struct au_json_writer w;
    open_event(&w, out, "Open");
    au_json_add_string(&w, "request_id", opened->request_id);
    au_json_add_string(&w, "session_id", opened->session_id);
    au_json_add_bool(&w, "resumed", opened->resumed);
    au_json_key(&w, "resume_seconds");
    au_json_put_number(&w, opened->resume_seconds);
    put_now(&w);
    au_json_close_object(&w);
}

void live_write_metadata(struct au_buf *out, const char *request_id, const char *session_id,
                         double audio_seconds, int channels)
{
    struct au_json_writer w;
    open_event(&w, out, "Metadata");
    au_json_add_string(&w, "request_id", request_id);
    au_json_add_string(&w, "session_id", session_id);
    put_now(&w);
    put_time(&w, "duration", audio_seconds);
    au_json_add_int(&w, "channels", channels);
    au_json_close_object(&w);
}

void live_write_error(struct au_buf *out, const char *code, const char *sentence)
{
    struct au_json_writer w;
    open_event(&w, out, "Error");
    au_json_add_string(&w, "code", code);
    au_json_add_string(&w, "message", sentence);
    au_json_close_object(&w);
}
