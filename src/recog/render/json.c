/* The result as one JSON object on one line.
 *
 * "text", "segments" and "language" come first and are what openai/whisper writes, member by
 * member; what auricle adds (per-segment language, duration, dropped segments with the rule that
 * dropped them, warning, timings) stands after those.                                            */
#include "recog/render/json.h"

#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "recog/render/render.h"

/* ---- Parts ---------------------------------------------------------------------------------- */

void recog_json_float(struct au_json_writer *w, const char *key, float value)
{
    char text[40];
    double as_double = (double)value;
    for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (au_parse_double(text, &as_double) && (float)as_double == value)
            break;
    }
    au_json_key(w, key);
    au_json_put_number(w, as_double);
}

void recog_json_time(struct au_json_writer *w, const char *key, double seconds)
{
    au_json_key(w, key);
    au_json_put_number(w, (double)recog_render_ms(seconds) / 1000.0);
}

void recog_json_words(struct au_json_writer *w, const struct auricle_segment *segment,
                      bool stripped)
{
    for (size_t i = 0; i < segment->n_words; i++) {
        const struct auricle_word *word = &segment->words[i];
        struct recog_render_span bare = recog_render_strip(word->text);
        au_json_open_object(w);
        if (stripped) {
            au_json_key(w, "word");
            au_json_put_string_n(w, bare.at, bare.n);
        } else {
            au_json_add_string(w, "word", word->text);
        }
        recog_json_time(w, "start", word->start);
        recog_json_time(w, "end", word->end);
        recog_json_float(w, "probability", word->probability);
        au_json_close_object(w);
    }
}

static void put_segment(struct au_json_writer *w, const struct auricle_segment *segment, size_t id,
                        bool with_words)
{
    au_json_open_object(w);
    au_json_add_int(w, "id", (int64_t)id);
    au_json_add_int(w, "seek", segment->seek);
    recog_json_time(w, "start", segment->start);
    recog_json_time(w, "end", segment->end);
    au_json_add_string(w, "text", segment->text ? segment->text : "");
    au_json_key(w, "tokens");
    au_json_open_array(w);
    for (size_t i = 0; i < segment->n_tokens; i++)
        au_json_put_int(w, segment->tokens[i]);
    au_json_close_array(w);
    recog_json_float(w, "temperature", segment->temperature);
    recog_json_float(w, "avg_logprob", segment->avg_logprob);
    recog_json_float(w, "compression_ratio", segment->compression_ratio);
    recog_json_float(w, "no_speech_prob", segment->no_speech_prob);
    if (segment->words && with_words) {
        au_json_key(w, "words");
        au_json_open_array(w);
        recog_json_words(w, segment, false);
        au_json_close_array(w);
    }
    if (segment->language)
        au_json_add_string(w, "language", segment->language);
    if (segment->filtered_by)
        au_json_add_string(w, "filtered_by", segment->filtered_by);
    au_json_close_object(w);
}

void recog_json_segments(struct au_json_writer *w, const char *key,
                         const struct auricle_segment *segments, size_t n, bool with_words)
{
    au_json_key(w, key);
    au_json_open_array(w);
    for (size_t i = 0; i < n; i++)
        put_segment(w, &segments[i], i, with_words);
    au_json_close_array(w);
}

/* ---- The whole result ----------------------------------------------------------------------- */

static void put_timings(struct au_json_writer *w, const struct auricle_timings *timings)
{
    au_json_key(w, "timings");
    au_json_open_object(w);
    recog_json_time(w, "decode_audio", timings->decode_audio);
    recog_json_time(w, "mel", timings->mel);
    recog_json_time(w, "encoder", timings->encoder);
    recog_json_time(w, "decoder", timings->decoder);
    recog_json_time(w, "total", timings->total);
    au_json_add_int(w, "encoder_windows", (int64_t)timings->encoder_windows);
    au_json_add_int(w, "decoder_steps", (int64_t)timings->decoder_steps);
    au_json_add_int(w, "decoder_tokens", (int64_t)timings->decoder_tokens);
    au_json_close_object(w);
}

void recog_render_json_of(struct au_buf *out, const char *file, const struct auricle_result *result)
{
    struct au_json_writer w;
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "text", result->text ? result->text : "");
    recog_json_segments(&w, "segments", result->segments, result->n_segments, true);
    au_json_add_string(&w, "language", result->language);
    if (file)
        au_json_add_string(&w, "file", file);
    recog_json_float(&w, "language_probability", result->language_probability);
    recog_json_time(&w, "duration", result->duration);
    recog_json_segments(&w, "filtered", result->filtered, result->n_filtered, true);
    au_json_add_string(&w, "warning", result->warning);
    put_timings(&w, &result->timings);
    au_json_close_object(&w);
    au_buf_putc(out, '\n');
}

void recog_render_json(struct au_buf *out, const struct auricle_result *result)
{
    recog_render_json_of(out, NULL, result);
}
