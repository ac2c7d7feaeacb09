/* Results and events to messages. See convert.h.
 *
 * Long lists are never built: a message may be cut anywhere between two fields, and repeated fields
 * add up, so a result is one small message per segment, one after the other in the same bytes.   */
#include <string.h>

#include "api/grpc/convert.h"
#include "base/mem.h"
#include "base/utf8.h"

/* protobuf-c's structs are not const; packing only reads them. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text ? text : "");
}

/* ---- Segments -------------------------------------------------------------------------------- */

/* Words as messages, and the array of pointers that protobuf-c wants, in one block. */
static Auricle__V1__Word **words_of(const struct auricle_segment *segment)
{
    size_t n = segment->words ? segment->n_words : 0;
    Auricle__V1__Word **list = au_alloc_array(n + 1, sizeof(Auricle__V1__Word *) +
                                                         sizeof(Auricle__V1__Word));
    if (!list)
        return NULL;
    Auricle__V1__Word *words = (Auricle__V1__Word *)(void *)(list + n + 1);
    for (size_t i = 0; i < n; i++) {
        auricle__v1__word__init(&words[i]);
        words[i].text = text_of(segment->words[i].text);
        words[i].start = segment->words[i].start;
        words[i].end = segment->words[i].end;
        words[i].probability = segment->words[i].probability;
        list[i] = &words[i];
    }
    return list;
}

/* out->words is to be freed; false: no memory. */
static bool fill_segment(const struct auricle_segment *segment, Auricle__V1__Segment *out)
{
    auricle__v1__segment__init(out);
    out->start = segment->start;
    out->end = segment->end;
    out->text = text_of(segment->text);
    out->words = words_of(segment);
    out->n_words = segment->words ? segment->n_words : 0;
    out->language = text_of(segment->language);
    out->temperature = segment->temperature;
    out->avg_logprob = segment->avg_logprob;
    out->compression_ratio = segment->compression_ratio;
    out->no_speech_probability = segment->no_speech_prob;
    out->tokens = (int32_t *)(uintptr_t)segment->tokens;
    out->n_tokens = segment->tokens ? segment->n_tokens : 0;
    out->seek = segment->seek;
    out->filtered_by = text_of(segment->filtered_by);
    return out->words != NULL;
}

/* ---- Transcribe ------------------------------------------------------------------------------ */

/* Packs behind what is there. */
static void append(struct au_buf *buf, const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    if (au_buf_reserve(buf, n))
        return;
    protobuf_c_message_pack(message, (uint8_t *)buf->data + buf->len);
    buf->len += n;
    buf->data[buf->len] = 0;
}

static void append_segment(struct au_buf *buf, const struct auricle_segment *segment, bool filtered)
{
    Auricle__V1__Segment message, *list = &message;
    Auricle__V1__TranscribeResponse part = AURICLE__V1__TRANSCRIBE_RESPONSE__INIT;
    if (!fill_segment(segment, &message)) {
        buf->error = AURICLE_E_NOMEM;
        return;
    }
    *(filtered ? &part.filtered : &part.segments) = &list;
    *(filtered ? &part.n_filtered : &part.n_segments) = 1;
    append(buf, &part.base);
    au_free(message.words);
}

static void append_rest(struct au_buf *buf, const struct service_outcome *outcome)
{
    const struct auricle_result *result = outcome->result;
    const struct service_timings *times = &outcome->timings;
    Auricle__V1__Timings timings = AURICLE__V1__TIMINGS__INIT;
    timings.receive = times->receive;
    timings.queue = times->queue;
    timings.decode_audio = times->decode_audio;
    timings.load_model = times->load_model;
    timings.mel = times->mel;
    timings.encoder = times->encoder;
    timings.decoder = times->decoder;
    timings.total = times->total;
    Auricle__V1__Media media = AURICLE__V1__MEDIA__INIT;
    media.container = text_of(outcome->media.container);
    media.codec = text_of(outcome->media.codec);
    media.rate_hz = outcome->media.rate_hz;
    media.channels = outcome->media.channels;
    media.decoder = text_of(outcome->media.decoder);
    Auricle__V1__TranscribeResponse rest = AURICLE__V1__TRANSCRIBE_RESPONSE__INIT;
    rest.text = text_of(result->text);
    rest.language = text_of(result->language);
    rest.language_probability = result->language_probability;
    rest.duration_seconds = result->duration;
    rest.warning = text_of(result->warning);
    rest.model = text_of(outcome->model);
    rest.timings = &timings;
    rest.media = &media;
    append(buf, &rest.base);
}

/* Tag and length of a field of bytes that follow. */
static void append_field_head(struct au_buf *buf, unsigned field, size_t n)
{
    au_buf_putc(buf, (char)(field << 3 | 2));
    for (; n >= 0x80; n >>= 7)
        au_buf_putc(buf, (char)(n & 0x7f) | (char)0x80);
    au_buf_putc(buf, (char)n);
}

grpc_byte_buffer *rpc_pack_outcome(const struct service_outcome *outcome, bool summary)
{
    const struct auricle_result *result = outcome->result;
    struct au_buf body, head;
    au_buf_init(&body, 0);
    au_buf_init(&head, 0);
    for (size_t i = 0; !summary && i < result->n_segments; i++)
        append_segment(&body, &result->segments[i], false);
    for (size_t i = 0; i < result->n_filtered; i++)
        append_segment(&body, &result->filtered[i], true);
    append_rest(&body, outcome);
    if (summary)
        append_field_head(&head, AURICLE__V1__TRANSCRIBE_EVENT__EVENT_SUMMARY, body.len);
    grpc_byte_buffer *buffer = NULL;
    if (!body.error && !head.error) {
        grpc_slice parts[2] = {grpc_slice_from_copied_buffer(head.data, head.len),
                               grpc_slice_from_copied_buffer(body.data, body.len)};
        buffer = grpc_raw_byte_buffer_create(parts, 2);
        grpc_slice_unref(parts[0]);
        grpc_slice_unref(parts[1]);
    }
    au_buf_deinit(&head);
    au_buf_deinit(&body);
    return buffer;
}

grpc_byte_buffer *rpc_pack_started(void)
{
    Auricle__V1__Started started = AURICLE__V1__STARTED__INIT;
    Auricle__V1__TranscribeEvent event = AURICLE__V1__TRANSCRIBE_EVENT__INIT;
    event.event_case = AURICLE__V1__TRANSCRIBE_EVENT__EVENT_STARTED;
    event.started = &started;
    return rpc_pack(&event.base);
}

grpc_byte_buffer *rpc_pack_segment(const struct auricle_segment *segment)
{
    Auricle__V1__Segment message;
    if (!fill_segment(segment, &message))
        return NULL;
    Auricle__V1__TranscribeEvent event = AURICLE__V1__TRANSCRIBE_EVENT__INIT;
    event.event_case = AURICLE__V1__TRANSCRIBE_EVENT__EVENT_SEGMENT;
    event.segment = &message;
    grpc_byte_buffer *buffer = rpc_pack(&event.base);
    au_free(message.words);
    return buffer;
}

grpc_byte_buffer *rpc_pack_progress(double seconds_done, double seconds_total)
{
    Auricle__V1__Progress progress = AURICLE__V1__PROGRESS__INIT;
    progress.seconds_done = seconds_done;
    progress.seconds_total = seconds_total;
    Auricle__V1__TranscribeEvent event = AURICLE__V1__TRANSCRIBE_EVENT__INIT;
    event.event_case = AURICLE__V1__TRANSCRIBE_EVENT__EVENT_PROGRESS;
    event.progress = &progress;
    return rpc_pack(&event.base);
}

/* ---- Listen ---------------------------------------------------------------------------------- */

grpc_byte_buffer *rpc_pack_opened(const char *session_id)
{
    Auricle__V1__Opened opened = AURICLE__V1__OPENED__INIT;
    opened.session_id = text_of(session_id);
    Auricle__V1__ListenEvent event = AURICLE__V1__LISTEN_EVENT__INIT;
    event.event_case = AURICLE__V1__LISTEN_EVENT__EVENT_OPENED;
    event.opened = &opened;
    return rpc_pack(&event.base);
}

grpc_byte_buffer *rpc_pack_closed(double audio_seconds)
{
    Auricle__V1__Closed closed = AURICLE__V1__CLOSED__INIT;
    closed.audio_seconds = audio_seconds;
    Auricle__V1__ListenEvent event = AURICLE__V1__LISTEN_EVENT__INIT;
    event.event_case = AURICLE__V1__LISTEN_EVENT__EVENT_CLOSED;
    event.closed = &closed;
    return rpc_pack(&event.base);
}

static grpc_byte_buffer *pack_partial(const struct auricle_stream_event *given)
{
    const struct auricle_segment none = {0};
    const char *text = given->text ? given->text : "";
    size_t n = strlen(text);
    size_t n_stable = au_utf8_complete_prefix(text, given->n_stable < n ? given->n_stable : n);
    char *stable = au_strndup(text, n_stable);
    Auricle__V1__Word **words = words_of(given->segment ? given->segment : &none);
    grpc_byte_buffer *buffer = NULL;
    if (stable && words) {
        Auricle__V1__Partial partial = AURICLE__V1__PARTIAL__INIT;
        partial.start = given->start;
        partial.end = given->end;
        partial.text = text_of(text);
        partial.stable = stable;
        partial.words = words;
        partial.n_words = given->segment && given->segment->words ? given->segment->n_words : 0;
        partial.language = text_of(given->language);
        partial.language_probability = given->language_probability;
        partial.confidence = given->confidence;
        Auricle__V1__ListenEvent event = AURICLE__V1__LISTEN_EVENT__INIT;
        event.event_case = AURICLE__V1__LISTEN_EVENT__EVENT_PARTIAL;
        event.partial = &partial;
        buffer = rpc_pack(&event.base);
    }
    au_free(words);
    au_free(stable);
    return buffer;
}

static grpc_byte_buffer *pack_final(const struct auricle_stream_event *given, int64_t n_final)
{
    Auricle__V1__Segment segment;
    if (!fill_segment(given->segment, &segment))
        return NULL;
    Auricle__V1__Final final = AURICLE__V1__FINAL__INIT;
    final.segment = &segment;
    final.language_probability = given->language_probability;
    final.confidence = given->confidence;
    final.end_of_speech = given->end_of_speech;
    final.sequence = n_final;
    Auricle__V1__ListenEvent event = AURICLE__V1__LISTEN_EVENT__INIT;
    event.event_case = AURICLE__V1__LISTEN_EVENT__EVENT_FINAL;
    event.final = &final;
    grpc_byte_buffer *buffer = rpc_pack(&event.base);
    au_free(segment.words);
    return buffer;
}

grpc_byte_buffer *rpc_pack_stream_event(const struct auricle_stream_event *given, int64_t n_final)
{
    Auricle__V1__ListenEvent event = AURICLE__V1__LISTEN_EVENT__INIT;
    Auricle__V1__SpeechStarted started = AURICLE__V1__SPEECH_STARTED__INIT;
    Auricle__V1__SpeechEnded ended = AURICLE__V1__SPEECH_ENDED__INIT;
    Auricle__V1__Finalized finalized = AURICLE__V1__FINALIZED__INIT;
    switch (given->kind) {
    case AURICLE_STREAM_SPEECH_STARTED:
        started.start = given->start;
        event.event_case = AURICLE__V1__LISTEN_EVENT__EVENT_SPEECH_STARTED;
        event.speech_started = &started;
        return rpc_pack(&event.base);
    case AURICLE_STREAM_PARTIAL: return pack_partial(given);
    case AURICLE_STREAM_FINAL: return pack_final(given, n_final);
    case AURICLE_STREAM_SPEECH_ENDED:
        ended.end = given->end;
        event.event_case = AURICLE__V1__LISTEN_EVENT__EVENT_SPEECH_ENDED;
        event.speech_ended = &ended;
        return rpc_pack(&event.base);
    case AURICLE_STREAM_FLUSHED:
        event.event_case = AURICLE__V1__LISTEN_EVENT__EVENT_FINALIZED;
        event.finalized = &finalized;
        return rpc_pack(&event.base);
    }
    return NULL;
}
