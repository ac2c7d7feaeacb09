/* Answers in OpenAI's shapes. See openai.h. */
#include <math.h>

#include "api/rest/openai.h"
#include "base/json.h"
#include "base/str.h"
#include "recog/render/json.h"
#include "recog/render/render.h"
#include "text/language.h"

/* Positions of the encoder per second of audio: what a token of audio is to these models. */
#define AUDIO_TOKENS_PER_SECOND 50.0

static void put_stripped(struct au_json_writer *w, const char *key, const char *text)
{
    struct recog_render_span span = recog_render_strip(text ? text : "");
    au_json_key(w, key);
    au_json_put_string_n(w, span.at, span.n);
}

/* ---- Usage, languages, probabilities --------------------------------------------------------- */

static void put_usage_seconds(struct au_json_writer *w, const struct auricle_result *result)
{
    au_json_key(w, "usage");
    au_json_open_object(w);
    au_json_add_string(w, "type", "duration");
    au_json_add_int(w, "seconds", (int64_t)ceil(result->duration));
    au_json_close_object(w);
}

/* The audio counts as the encoder's positions, the text as tokens of the decoder. */
static void put_usage_tokens(struct au_json_writer *w, const struct auricle_result *result)
{
    int64_t audio = (int64_t)ceil(result->duration * AUDIO_TOKENS_PER_SECOND), text = 0;
    for (size_t i = 0; i < result->n_segments; i++)
        text += (int64_t)result->segments[i].n_tokens;
    au_json_key(w, "usage");
    au_json_open_object(w);
    au_json_add_string(w, "type", "tokens");
    au_json_add_int(w, "input_tokens", audio);
    au_json_key(w, "input_token_details");
    au_json_open_object(w);
    au_json_add_int(w, "text_tokens", 0);
    au_json_add_int(w, "audio_tokens", audio);
    au_json_close_object(w);
    au_json_add_int(w, "output_tokens", text);
    au_json_add_int(w, "total_tokens", audio + text);
    au_json_close_object(w);
}

/* Where the caller left the language to us: which it is, or none. */
static void put_languages(struct au_json_writer *w, const struct rest_job *job,
                          const struct auricle_result *result)
{
    if (job->options.language)
        return;
    au_json_key(w, "languages");
    au_json_open_array(w);
    if (result->language) {
        au_json_open_object(w);
        au_json_add_string(w, "code", result->language);
        au_json_close_object(w);
    }
    au_json_close_array(w);
}

/* ---- json ------------------------------------------------------------------------------------ */

static void put_token(struct au_json_writer *w, const char *bytes, size_t n, float logprob)
{
    au_json_open_object(w);
    au_json_key(w, "token");
    au_json_put_string_n(w, bytes, n);
    recog_json_float(w, "logprob", logprob);
    au_json_key(w, "bytes");
    au_json_open_array(w);
    for (size_t i = 0; i < n; i++)
        au_json_put_int(w, (unsigned char)bytes[i]);
    au_json_close_array(w);
    au_json_close_object(w);
}

/* Of every token of the text; timestamps are none. */
static void put_logprobs(struct au_json_writer *w, const struct auricle_engine *engine,
                         const struct auricle_segment *segments, size_t n)
{
    au_json_key(w, "logprobs");
    au_json_open_array(w);
    for (const struct auricle_segment *s = segments; s < segments + n; s++)
        for (size_t i = 0; i < s->n_tokens; i++) {
            size_t n_bytes;
            const char *bytes = auricle_token_bytes(engine, s->tokens[i], &n_bytes);
            if (n_bytes)
                put_token(w, bytes, n_bytes, s->token_logprobs[i]);
        }
    au_json_close_array(w);
}

static void put_json(struct au_json_writer *w, const struct rest_job *job,
                     const struct service_outcome *outcome)
{
    const struct openai_params *p = job->params;
    put_stripped(w, "text", outcome->result->text);
    put_languages(w, job, outcome->result);
    if (p->logprobs)
        put_logprobs(w, outcome->engine, outcome->result->segments, outcome->result->n_segments);
    put_usage_seconds(w, outcome->result);
}

/* ---- verbose_json ---------------------------------------------------------------------------- */

static void put_words(struct au_json_writer *w, const struct auricle_segment *segments, size_t n)
{
    au_json_key(w, "words");
    au_json_open_array(w);
    for (size_t i = 0; i < n; i++)
        recog_json_words(w, &segments[i], true);
    au_json_close_array(w);
}

static void put_timings(struct au_json_writer *w, const struct service_timings *t)
{
    au_json_key(w, "timings");
    au_json_open_object(w);
    recog_json_time(w, "receive", t->receive);
    recog_json_time(w, "queue", t->queue);
    recog_json_time(w, "decode_audio", t->decode_audio);
    recog_json_time(w, "load_model", t->load_model);
    recog_json_time(w, "mel", t->mel);
    recog_json_time(w, "encoder", t->encoder);
    recog_json_time(w, "decoder", t->decoder);
    recog_json_time(w, "total", t->total);
    au_json_close_object(w);
}

static void put_verbose(struct au_json_writer *w, const struct rest_job *job,
                        const struct service_outcome *outcome)
{
    const struct openai_params *p = job->params;
    const struct auricle_result *result = outcome->result;
    int language = result->language ? text_language_find(result->language) : -1;
    bool translate = job->door->task == AURICLE_TASK_TRANSLATE;
    au_json_add_string(w, "task", translate ? "translate" : "transcribe");
    au_json_add_string(w, "language",
                       translate       ? "english"
                       : language >= 0 ? text_language_name(language)
                                       : "");
    recog_json_time(w, "duration", result->duration);
    put_stripped(w, "text", result->text);
    if (p->word_times)
        put_words(w, result->segments, result->n_segments);
    if (p->segment_times)
        recog_json_segments(w, "segments", result->segments, result->n_segments, false);
    put_usage_seconds(w, result);
    recog_json_segments(w, "filtered", result->filtered, result->n_filtered, false);
    if (result->warning)
        au_json_add_string(w, "warning", result->warning);
    au_json_add_string(w, "model", outcome->model);
    put_timings(w, &outcome->timings);
}

/* ---- The whole answer ------------------------------------------------------------------------ */

static const char *write_rendered(const char *format, const struct auricle_result *result,
                                  struct au_buf *out)
{
    const struct recog_render *render = recog_render_find(format);
    if (recog_render_result(render, result, out) != AURICLE_OK)
        return NULL; /* the buffer says why */
    return render->media_type;
}

static const char *write_text(const struct auricle_result *result, struct au_buf *out)
{
    struct recog_render_span span = recog_render_strip(result->text);
    au_buf_append(out, span.at, span.n);
    au_buf_putc(out, '\n');
    return "text/plain; charset=utf-8";
}

const char *openai_write(const struct rest_job *job, const struct service_outcome *outcome,
                         struct au_buf *out)
{
    const struct openai_params *p = job->params;
    struct au_json_writer w;
    if (p->format == OPENAI_TEXT)
        return write_text(outcome->result, out);
    if (p->format == OPENAI_SRT)
        return write_rendered("srt", outcome->result, out);
    if (p->format == OPENAI_VTT)
        return write_rendered("vtt", outcome->result, out);
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    if (p->format == OPENAI_VERBOSE_JSON)
        put_verbose(&w, job, outcome);
    else
        put_json(&w, job, outcome);
    au_json_close_object(&w);
    au_buf_putc(out, '\n');
    return "application/json";
}

/* ---- Events ---------------------------------------------------------------------------------- */

/* All deltas together are the text of the last event: the first loses its leading space. */
void openai_write_segment(struct rest_job *job, const struct auricle_segment *segment,
                          struct au_buf *out)
{
    struct au_json_writer w;
    const struct openai_params *p = job->params;
    const char *text = segment->text;
    if (!job->n_segments)
        text = recog_render_strip(text).at;
    au_buf_puts(out, "data: ");
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "type", "transcript.text.delta");
    au_json_add_string(&w, "delta", text);
    recog_json_time(&w, "start", segment->start);
    recog_json_time(&w, "end", segment->end);
    if (p->word_times)
        put_words(&w, segment, 1);
    if (p->logprobs)
        put_logprobs(&w, service_request_engine(job->work), segment, 1);
    au_json_close_object(&w);
    au_buf_puts(out, "\n\n");
}

void openai_write_end(const struct rest_job *job, const struct service_outcome *outcome,
                      struct au_buf *out)
{
    struct au_json_writer w;
    const struct openai_params *p = job->params;
    const struct auricle_result *result = outcome->result;
    au_buf_puts(out, "data: ");
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "type", "transcript.text.done");
    put_stripped(&w, "text", result->text);
    put_languages(&w, job, result);
    if (p->logprobs)
        put_logprobs(&w, outcome->engine, result->segments, result->n_segments);
    put_usage_tokens(&w, result);
    au_json_close_object(&w);
    au_buf_puts(out, "\n\n");
}
