/* The result as one JSON object on one line.
 *
 * "text", "segments" and "language" come first and are what openai/whisper writes, member by
 * member; what auricle adds (per-segment language, duration, dropped segments with the rule that
 * dropped them, warning, timings) stands after those.                                            */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "recog/render/render.h"

/* 0.2f is 0.200000003 as a double; readers expect the 0.2 that was set. The shortest decimal that
 * reads back as the same float, as a double.                                                     */
static void put_float(struct au_json_writer *w, float value)
{
    char text[40];
    double as_double = (double)value;
    for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (au_parse_double(text, &as_double) && (float)as_double == value)
            break;
    }
    au_json_put_number(w, as_double);
}

/* Milliseconds are as fine as times are: 11.000000000000002 helps nobody. */
static void put_time(struct au_json_writer *w, const char *key, double seconds)
{
    au_json_key(w, key);
    au_json_put_number(w, (double)recog_render_ms(seconds) / 1000.0);
}

static void put_number(struct au_json_writer *w, const char *key, float value)
{
    au_json_key(w, key);
    put_float(w, value);
}

static void put_words(struct au_json_writer *w, const struct auricle_segment *segment)
{
    au_json_key(w, "words");
    au_json_open_array(w);
    for (size_t i = 0; i < segment->n_words; i++) {
        const struct auricle_word *word = &segment->words[i];
        au_json_open_object(w);
        au_json_add_string(w, "word", word->text);
        put_time(w, "start", word->start);
        put_time(w, "end", word->end);
        put_number(w, "probability", word->probability);
        au_json_close_object(w);
    }
    au_json_close_array(w);
}

static void put_segment(struct au_json_writer *w, const struct auricle_segment *segment, size_t id)
{
    au_json_open_object(w);
    au_json_add_int(w, "id", (int64_t)id);
    au_json_add_int(w, "seek", segment->seek);
    put_time(w, "start", segment->start);
    put_time(w, "end", segment->end);
    au_json_add_string(w, "text", segment->text ? segment->text : "");
    au_json_key(w, "tokens");
    au_json_open_array(w);
    for (size_t i = 0; i < segment->n_tokens; i++)
        au_json_put_int(w, segment->tokens[i]);
    au_json_close_array(w);
    put_number(w, "temperature", segment->temperature);
    put_number(w, "avg_logprob", segment->avg_logprob);
    put_number(w, "compression_ratio", segment->compression_ratio);
    put_number(w, "no_speech_prob", segment->no_speech_prob);
    if (segment->words)
        put_words(w, segment);
    if (segment->language)
        au_json_add_string(w, "language", segment->language);
    if (segment->filtered_by)
        au_json_add_string(w, "filtered_by", segment->filtered_by);
    au_json_close_object(w);
}

static void put_segments(struct au_json_writer *w, const char *key,
                         const struct auricle_segment *segments, size_t n)
{
    au_json_key(w, key);
    au_json_open_array(w);
    for (size_t i = 0; i < n; i++)
        put_segment(w, &segments[i], i);
    au_json_close_array(w);
}

static void put_timings(struct au_json_writer *w, const struct auricle_timings *timings)
{
    au_json_key(w, "timings");
    au_json_open_object(w);
    put_time(w, "decode_audio", timings->decode_audio);
    put_time(w, "mel", timings->mel);
    put_time(w, "encoder", timings->encoder);
    put_time(w, "decoder", timings->decoder);
    put_time(w, "total", timings->total);
    au_json_add_int(w, "encoder_windows", (int64_t)timings->encoder_windows);
    au_json_add_int(w, "decoder_steps", (int64_t)timings->decoder_steps);
    au_json_add_int(w, "decoder_tokens", (int64_t)timings->decoder_tokens);
    au_json_close_object(w);
}

void recog_render_json(struct au_buf *out, const struct auricle_result *result)
{
    struct au_json_writer w;
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "text", result->text ? result->text : "");
    put_segments(&w, "segments", result->segments, result->n_segments);
    au_json_add_string(&w, "language", result->language);
    put_number(&w, "language_probability", result->language_probability);
    put_time(&w, "duration", result->duration);
    put_segments(&w, "filtered", result->filtered, result->n_filtered);
    au_json_add_string(&w, "warning", result->warning);
    put_timings(&w, &result->timings);
    au_json_close_object(&w);
    au_buf_putc(out, '\n');
}
