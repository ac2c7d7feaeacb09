/* Samples that are pushed. See push.h.
 *
 *     bytes -> whole frames -> mono f32 -> sanitise -> soxr
 * in blocks of 4 KiB; a frame cut in two waits in `bytes` for its rest.                          */
#include "audio/push.h"

#include <string.h>

#include "audio/decoder.h"
#include "audio/pcm.h"
#include "audio/resample.h"
#include "base/mem.h"

#define BLOCK_BYTES 4096 /* at least a frame: 64 channels of 4 bytes */

struct audio_push {
    enum audio_raw_type type;
    int channels;
    size_t frame_bytes;
    struct audio_resampler *resampler; /* NULL at 16 kHz */
    uint8_t bytes[BLOCK_BYTES];        /* not yet converted */
    size_t n_bytes;
    float frames[BLOCK_BYTES], mono[BLOCK_BYTES];
    size_t used, filled; /* of mono */
};

enum auricle_error audio_push_create(enum audio_raw_type type, int rate_hz, int channels,
                                     struct audio_push **out, struct au_fault *fault)
{
    if (!audio_pcm_bytes(type))
        return au_fail(fault, AURICLE_E_INVALID, "unknown raw sample type %d", (int)type);
    enum auricle_error error = audio_check_shape("the stream", rate_hz, channels, fault);
    if (error)
        return error;
    struct audio_push *push = au_calloc(1, sizeof(*push));
    error = push ? AURICLE_OK : AURICLE_E_NOMEM;
    if (!error && rate_hz != AUDIO_RATE_HZ)
        error = audio_resampler_create(rate_hz, AUDIO_RATE_HZ, false, &push->resampler);
    if (error) {
        audio_push_destroy(push);
        return au_fail(fault, error, "out of memory");
    }
    push->type = type;
    push->channels = channels;
    push->frame_bytes = audio_pcm_bytes(type) * (size_t)channels;
    *out = push;
    return AURICLE_OK;
}

void audio_push_destroy(struct audio_push *push)
{
    if (!push)
        return;
    audio_resampler_destroy(push->resampler);
    au_free(push);
}

/* The next block of mono samples, once the last one is used up; returns how many bytes it took. */
static size_t refill(struct audio_push *push, const uint8_t *bytes, size_t n)
{
    size_t room = BLOCK_BYTES - push->n_bytes, take = n < room ? n : room;
    if (push->used < push->filled)
        return 0;
    if (take)
        memcpy(push->bytes + push->n_bytes, bytes, take);
    push->n_bytes += take;
    size_t frames = push->n_bytes / push->frame_bytes, whole = frames * push->frame_bytes;
    audio_pcm_convert(push->type, push->bytes, frames * (size_t)push->channels, push->frames);
    audio_mix(push->mono, push->frames, frames, push->channels);
    (void)audio_sanitise(push->mono, frames);
    memmove(push->bytes, push->bytes + whole, push->n_bytes - whole);
    push->n_bytes -= whole;
    push->used = 0;
    push->filled = frames;
    return take;
}

static enum auricle_error convert(struct audio_push *push, bool ended, float *out, size_t max,
                                  size_t *n_out)
{
    const float *mono = push->mono + push->used;
    size_t n = push->filled - push->used, used = n < max ? n : max;
    if (push->resampler) {
        enum auricle_error error = audio_resampler_run(push->resampler, ended && !n ? NULL : mono,
                                                       n, &used, out, max, n_out);
        if (error)
            return error;
    } else {
        memcpy(out, mono, used * sizeof(*out));
        *n_out = used;
    }
    push->used += used;
    return AURICLE_OK;
}

enum auricle_error audio_push_run(struct audio_push *push, const uint8_t *bytes, size_t n,
                                  size_t *n_used, float *out, size_t max, size_t *n_out)
{
    bool ended = !bytes;
    size_t taken = 0, made = 0, moved = 1;
    while (moved && made < max) {
        size_t took = ended ? 0 : refill(push, bytes + taken, n - taken);
        size_t left = push->filled - push->used, last = 0;
        enum auricle_error error = convert(push, ended, out + made, max - made, &last);
        if (error)
            return error;
        taken += took;
        made += last;
        moved = took + last + left - (push->filled - push->used);
    }
    *n_used = taken;
    *n_out = made;
    return AURICLE_OK;
}
